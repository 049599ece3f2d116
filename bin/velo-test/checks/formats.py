"""Loads JUnit reports with junitparser, and holds JSON reports to their schema with jsonschema.

    formats.py SCHEMA REPORT.json... REPORT.xml...

Exit code 1 when one is not as it should be.
"""

import json
import sys

import jsonschema
import junitparser


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    wrong = 0
    for path in sys.argv[2:]:
        if path.endswith(".xml"):
            suites = list(junitparser.JUnitXml.fromfile(path))
            cases = [case for suite in suites for case in suite]
            bad = [case.name for case in cases if any(isinstance(r, junitparser.Failure) for r in case.result)]
            told = sum(suite.tests for suite in suites)
            print(f"{path}: {len(suites)} suites, {len(cases)} cases, failed: {', '.join(bad) or 'none'}")
            if told != len(cases) or sum(suite.failures for suite in suites) != len(bad):
                print(f"FAILED: its attributes say {told} tests")
                wrong += 1
            continue
        with open(path, encoding="utf-8") as file:
            errors = list(validator.iter_errors(json.load(file)))
        print(f"{path}: {'as its schema says' if not errors else 'FAILED'}")
        for error in errors[:5]:
            print(f"  {error.json_path}: {error.message[:300]}")
        wrong += len(errors)
    sys.exit(bool(wrong))


main()
