"""A record that the client cannot read: where its readers stand afterwards, whatever else fails meanwhile."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, GroupCoordinatorNotAvailableError

from chassis import polling
from tests.support.builders import a_raw_record

GOOD, DAMAGED = TopicPartition("a", 0), TopicPartition("a", 1)


class Client:
    """Hands out one record of the first partition, and cannot read the second."""

    def __init__(self):
        self.positions = {GOOD: 7, DAMAGED: 7}

    async def getmany(self, *partitions, timeout_ms, max_records):
        if partitions == (GOOD,):
            self.positions[GOOD] += 1
            return {GOOD: [a_raw_record(topic="a")]}
        if not partitions:
            # As aiokafka does: it moves on before it meets what it cannot read.
            self.positions[GOOD] += 1
        raise CorruptRecordException("Invalid CRC")

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, 8)

    def seek(self, partition, offset):
        self.positions[partition] = offset


async def poll(client, begins):
    return await polling.poll(client, timeout_ms=1, max_records=10, begins=begins)


async def begins():
    return {GOOD: 7, DAMAGED: 7}


async def test_a_damaged_partition_stays_where_it_is_and_the_others_go_on():
    client = Client()

    polled = await poll(client, begins)

    assert list(polled) == [GOOD]
    assert client.positions == {GOOD: 8, DAMAGED: 7}


async def test_nothing_is_passed_over_while_nobody_tells_how_far_it_was_taken(monkeypatch):
    client, asked = Client(), []

    async def begins_in_the_end():
        asked.append(dict(client.positions))
        if len(asked) < 3:
            raise (GroupCoordinatorNotAvailableError, KeyError)[len(asked) - 1]
        return await begins()

    async def at_once(_seconds):
        pass

    monkeypatch.setattr(asyncio, "sleep", at_once)
    polled = await poll(client, begins_in_the_end)

    assert (len(asked), list(polled)) == (3, [GOOD])


async def test_where_nothing_else_came_the_fault_is_told():
    client = Client()

    async def only_the_damaged():
        return {DAMAGED: 7}

    with pytest.raises(polling.Damaged) as told:
        await poll(client, only_the_damaged)
    assert isinstance(told.value.__cause__, CorruptRecordException)
    assert client.positions[DAMAGED] == 7
