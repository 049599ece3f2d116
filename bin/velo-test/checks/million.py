"""Runs a command on a terminal of its own and says how long it took, how much memory it had, and what it showed meanwhile.

    million.py SECONDS_MAX MIB_MAX COMMAND...

Exit code 1 when the command fails, is over one of the bounds, or shows no progress.
"""

import os
import pty
import re
import resource
import sys
import time


def on_terminal(command):
    """What the command printed, its exit code, and its seconds."""
    begun = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    printed = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            # The terminal is gone with the command.
            break
        if not part:
            break
        printed += part
    _, status = os.waitpid(child, 0)
    return printed.decode(errors="replace"), os.waitstatus_to_exitcode(status), time.monotonic() - begun


def main():
    seconds_max, mib_max, command = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    printed, code, seconds = on_terminal(command)
    mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    shown = {
        word: sorted({int(percent) for percent in re.findall(word + r"[^\r\n]*?, (\d+) %", printed)})
        for word in ("publishing", "running", "judging")
    }
    print(f"{seconds:.1f} s (at most {seconds_max:.0f}), {mib:.0f} MiB (at most {mib_max:.0f})")
    for word, percents in shown.items():
        print(f"{word}: {len(percents)} percentages shown, {percents[:3]} ... {percents[-3:]}")
    wrong = []
    if code != 0:
        wrong.append(f"exit code {code}:\n{printed}")
    if seconds > seconds_max or mib > mib_max:
        wrong.append("over its bounds")
    # A machine may be fast enough to have hardly begun before it is done.
    if not shown["publishing"] or sum(len(percents) for percents in shown.values()) < 3:
        wrong.append("no progress was shown")
    for line in wrong:
        print(f"FAILED: {line}")
    sys.exit(bool(wrong))


main()
