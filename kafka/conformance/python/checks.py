"""Conformance checks through kafka-python: a client that shares no code with librdkafka or Java's.

checks.py --brokers HOST:PORT --target NAME [FILTER...]

One line per check, as the Rust suite prints them; exit code 1 when one fails. Every check has names of its own.
"""

import argparse
import itertools
import logging
import sys
import time
import traceback

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

PATIENCE_S = 60
# Long enough for a step of a rebalance: kafka-python gives up what a poll has not finished.
POLL_MS = 500
CHECKS = []


def check(item, name):
    """Registers a check."""

    def register(run):
        CHECKS.append((item, name, run))
        return run

    return register


def expect(found, want, what=""):
    if found != want:
        raise AssertionError(f"{what}: found {found!r}, expected {want!r}")


class World:
    """The broker under test, and names that nobody else uses."""

    def __init__(self, brokers):
        self.brokers = brokers
        self.run = f"{time.time_ns():x}"
        self.numbers = itertools.count()
        self.admin = KafkaAdminClient(bootstrap_servers=brokers)
        self.topics = []

    def name(self, what):
        return f"velo-py-{self.run}-{what}-{next(self.numbers)}"

    def topic(self, partitions=1, configs=None):
        name = self.name("topic")
        options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}
        self.admin.create_topics({name: options}, wait_for_metadata=True)
        self.topics.append(name)
        return name

    def producer(self, **settings):
        return KafkaProducer(bootstrap_servers=self.brokers, **settings)

    def consumer(self, **settings):
        settings = {
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "fetch_max_wait_ms": 100,
            "session_timeout_ms": 10_000,
            "heartbeat_interval_ms": 300,
            # A topic of a moment ago may be unknown at first; the default asks again after five minutes.
            "metadata_max_age_ms": 1_000,
            **settings,
        }
        return KafkaConsumer(bootstrap_servers=self.brokers, **settings)

    def read(self, topic, partitions=1, level="read_committed"):
        """All records of a topic, by partition and offset."""
        consumer = self.consumer(isolation_level=level)
        parts = [TopicPartition(topic, index) for index in range(partitions)]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        found = []

        def done():
            for records in consumer.poll(POLL_MS).values():
                found.extend(records)
            return all(consumer.position(part) >= ends[part] for part in parts)

        until("all partitions are read", done)
        consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def clean_up(self):
        self.admin.delete_topics(self.topics, raise_errors=False)


def until(what, holds):
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > PATIENCE_S:
            raise AssertionError(f"waited {PATIENCE_S} s in vain until {what}")


def send(producer, topic, values, partition=0):
    futures = [producer.send(topic, value=value, partition=partition) for value in values]
    return [future.get(timeout=PATIENCE_S).offset for future in futures]


def values(records):
    return [record.value for record in records]


@check("records", "keys, values, headers and timestamps come back")
def whole_records(world):
    topic = world.topic()
    producer = world.producer()
    at = int(time.time() * 1000) - 5_000
    headers = [("twice", b"1"), ("twice", b"2"), ("empty", b"")]
    producer.send(topic, key=b"k", value=b"v", headers=headers, timestamp_ms=at).get(PATIENCE_S)
    producer.send(topic, key=b"k", value=None, timestamp_ms=at + 1).get(PATIENCE_S)
    producer.send(topic, key=None, value=b"", timestamp_ms=at + 2).get(PATIENCE_S)
    found = [(r.key, r.value, list(r.headers), r.timestamp, r.offset) for r in world.read(topic)]
    want = [(b"k", b"v", headers, at, 0), (b"k", None, [], at + 1, 1), (None, b"", [], at + 2, 2)]
    expect(found, want)


@check("records", "gzip comes back")
def gzip(world):
    topic = world.topic()
    sent = [f"{i} the same words again and again".encode() for i in range(200)]
    send(world.producer(compression_type="gzip", linger_ms=20), topic, sent)
    expect(values(world.read(topic)), sent)


@check("records", "equal keys go to one partition")
def partitioner(world):
    topic = world.topic(4)
    producer = world.producer()
    for key in (b"a", b"b", b"c"):
        partitions = {producer.send(topic, key=key, value=b"x").get(PATIENCE_S).partition for _ in range(5)}
        expect(len(partitions), 1, key)
    expect(len(world.read(topic, 4)), 15)


@check("groups", "two members share, and one takes over")
def share(world):
    topic, group = world.topic(4), world.name("group")
    first, second = (world.consumer(group_id=group) for _ in range(2))
    first.subscribe([topic])
    until("the first has all", lambda: first.poll(POLL_MS) is not None and len(first.assignment()) == 4)
    second.subscribe([topic])

    def balanced():
        first.poll(POLL_MS)
        second.poll(POLL_MS)
        return (len(first.assignment()), len(second.assignment())) == (2, 2)

    until("both have two", balanced)
    expect(first.assignment() | second.assignment(), {TopicPartition(topic, i) for i in range(4)})
    second.close()
    until("the first has all again", lambda: first.poll(POLL_MS) is not None and len(first.assignment()) == 4)
    first.close()


@check("groups", "a static member comes back to its partitions")
def static_member(world):
    topic, group = world.topic(2), world.name("group")

    def member(instance):
        consumer = world.consumer(group_id=group, group_instance_id=instance, session_timeout_ms=30_000)
        consumer.subscribe([topic])
        return consumer

    stays, leaves = member("one"), member("two")

    def balanced(*members):
        return lambda: [m.poll(POLL_MS) for m in members] and all(len(m.assignment()) == 1 for m in members)

    until("both have one", balanced(stays, leaves))
    had = leaves.assignment()
    leaves.close()
    back = member("two")
    until("both have one again", balanced(stays, back))
    expect(back.assignment(), had)
    stays.close()
    back.close()


@check("offsets", "an offset and its metadata come back")
def metadata(world):
    topic, group = world.topic(), world.name("group")
    part = TopicPartition(topic, 0)
    consumer = world.consumer(group_id=group)
    consumer.assign([part])
    consumer.commit({part: OffsetAndMetadata(42, "watermark=17", 0)})
    found = consumer.committed(part, metadata=True)
    expect((found.offset, found.metadata), (42, "watermark=17"))
    consumer.close()


@check("offsets", "a new member begins behind the commit")
def resume(world):
    topic, group = world.topic(), world.name("group")
    send(world.producer(), topic, [b"a", b"b", b"c"])
    first = world.consumer(group_id=group)
    first.subscribe([topic])
    until("records come", lambda: first.poll(POLL_MS, max_records=1))
    first.commit({TopicPartition(topic, 0): OffsetAndMetadata(2, "", 0)})
    first.close()
    second = world.consumer(group_id=group)
    second.subscribe([topic])
    found = []
    until("the rest comes", lambda: [found.extend(r) for r in second.poll(POLL_MS).values()] and found)
    expect(values(found), [b"c"])
    second.close()


@check("idempotence", "2,000 records, each once and in order")
def idempotent(world):
    topic = world.topic(2)
    producer = world.producer(enable_idempotence=True, acks="all", linger_ms=2, batch_size=1_000)
    futures = [producer.send(topic, value=str(i).encode(), partition=i % 2) for i in range(2_000)]
    for future in futures:
        future.get(PATIENCE_S)
    want = [str(i).encode() for part in range(2) for i in range(part, 2_000, 2)]
    expect(values(world.read(topic, 2)), want)


def transactional(world, name):
    producer = world.producer(transactional_id=name, acks="all")
    producer.init_transactions()
    return producer


@check("transactions", "committed records are seen, aborted ones are not")
def seen_and_hidden(world):
    topic = world.topic()
    producer = transactional(world, world.name("txn"))
    for value, commit in [(b"a", True), (b"b", False), (b"c", True)]:
        producer.begin_transaction()
        send(producer, topic, [value])
        producer.commit_transaction() if commit else producer.abort_transaction()
    expect(values(world.read(topic)), [b"a", b"c"])
    expect(values(world.read(topic, level="read_uncommitted")), [b"a", b"b", b"c"])


@check("transactions", "offsets of a transaction count with its commit only")
def offsets_in_transaction(world):
    source, sink, group = world.topic(), world.topic(), world.name("group")
    part = TopicPartition(source, 0)
    producer = transactional(world, world.name("txn"))
    consumer = world.consumer(group_id=group)
    consumer.assign([part])
    for offset, commit, want in [(5, False, None), (7, True, 7)]:
        producer.begin_transaction()
        send(producer, sink, [b"x"])
        producer.send_offsets_to_transaction({part: OffsetAndMetadata(offset, "", 0)}, group)
        producer.commit_transaction() if commit else producer.abort_transaction()
        until("the offset is decided", lambda: consumer.committed(part) == want)
    expect(values(world.read(sink)), [b"x"])
    consumer.close()


@check("transactions", "a new producer of the same id fences the old")
def fenced(world):
    topic, name = world.topic(), world.name("txn")
    old = transactional(world, name)
    old.begin_transaction()
    send(old, topic, [b"old"])
    new = transactional(world, name)
    try:
        send(old, topic, [b"zombie"])
        old.commit_transaction()
        raise AssertionError("the old producer could commit")
    except KafkaError:
        pass
    new.begin_transaction()
    send(new, topic, [b"new"])
    new.commit_transaction()
    expect(values(world.read(topic)), [b"new"])


@check("admin", "topics are created, grown and deleted")
def topics(world):
    topic = world.topic(3)
    found = world.admin.describe_topics([topic])[0]
    expect(sorted(p["partition_index"] for p in found["partitions"]), [0, 1, 2])
    try:
        world.admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
        raise AssertionError("created twice")
    except TopicAlreadyExistsError:
        pass
    world.admin.create_partitions({topic: 5})
    until("it has grown", lambda: len(world.admin.describe_topics([topic])[0]["partitions"]) == 5)
    world.admin.delete_topics([topic])
    until("it is gone", lambda: topic not in world.admin.list_topics())
    world.topics.remove(topic)


@check("admin", "settings are changed and described")
def settings(world):
    topic = world.topic(configs={"retention.ms": "12345"})

    def setting(key):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {key: None})
        found = world.admin.describe_configs([resource], config_filter="all")
        return found["topic"][topic][key]["value"]

    expect(setting("retention.ms"), "12345")
    world.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "54321"})])
    until("the change is told", lambda: setting("retention.ms") == "54321")
    expect(setting("cleanup.policy"), "delete")


@check("admin", "deleted records are gone")
def delete_records(world):
    topic = world.topic()
    part = TopicPartition(topic, 0)
    send(world.producer(), topic, [b"a", b"b", b"c"])
    world.admin.delete_records({part: 2})
    consumer = world.consumer()
    expect((consumer.beginning_offsets([part])[part], consumer.end_offsets([part])[part]), (2, 3))
    expect(values(world.read(topic)), [b"c"])
    consumer.close()


@check("admin", "groups are listed, described and deleted")
def groups(world):
    topic, group = world.topic(), world.name("group")
    consumer = world.consumer(group_id=group, client_id="the-client")
    consumer.subscribe([topic])
    until("it has its partition", lambda: consumer.poll(POLL_MS) is not None and consumer.assignment())
    expect(group in [listed["group_id"] for listed in world.admin.list_groups()], True, "listed")
    found = world.admin.describe_groups([group])[group]
    expect((found["group_state"], found["members"][0]["client_id"]), ("Stable", "the-client"))
    consumer.close()
    until("it is empty", lambda: world.admin.describe_groups([group])[group]["group_state"] in ("Empty", "Dead"))
    world.admin.delete_groups([group])
    expect(group in [listed["group_id"] for listed in world.admin.list_groups()], False, "listed")


@check("time-index", "offsets for times")
def times(world):
    topic = world.topic()
    part = TopicPartition(topic, 0)
    producer = world.producer()
    base = int(time.time() * 1000) - 100_000
    for shift in (0, 10, 20):
        producer.send(topic, value=b"x", timestamp_ms=base + shift).get(PATIENCE_S)
    consumer = world.consumer()
    for shift, want in [(-5, 0), (0, 0), (1, 1), (20, 2), (21, None)]:
        found = consumer.offsets_for_times({part: base + shift})[part]
        expect(found.offset if found else None, want, f"{shift} ms")
    consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brokers", required=True, help="HOST:PORT")
    parser.add_argument("--target", required=True, help="what the lines call this broker")
    parser.add_argument("filters", nargs="*", help="run the checks whose item or name holds one of these")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    world = World(arguments.brokers)
    failed = 0
    for item, name, run in CHECKS:
        if arguments.filters and not any(f in item or f in name for f in arguments.filters):
            continue
        start, why = time.monotonic(), None
        try:
            run(world)
        except Exception:  # A check fails by any exception; the others still run.
            why = traceback.format_exc(limit=-3)
            failed += 1
        took = int((time.monotonic() - start) * 1000)
        print(f"{item:<13}  {name:<72}  {arguments.target:<8}  {'FAILED' if why else 'ok':<6}  {took} ms", flush=True)
        if why:
            print("".join(f"    {line}\n" for line in why.splitlines()), end="", flush=True)
    world.clean_up()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
