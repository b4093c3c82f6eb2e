"""Faults in the rules of durability; see `tests.mutants.table`."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

GROUPS = "tests/actors/test_group_commit.py"
STATE_FILE = "tests/actors/test_state_file.py"
STATE_WRITER = "tests/actors/test_state_writer.py"
LEASES = "tests/faults/test_leases.py"

MUTANTS = (
    Mutant(
        "durability: replies do not wait for their commit",
        "actors/group_commit.py",
        "            if ticket <= self._durable:\n",
        "            if ticket <= self._marked:\n",
        (GROUPS,),
    ),
    Mutant(
        "durability: after a failed commit waiters are told of nothing",
        "actors/group_commit.py",
        "            self._failure = error if is_failure else None\n",
        "            self._failure = None\n",
        (GROUPS,),
    ),
    Mutant(
        "durability: commits are not synced",
        "actors/state_database.py",
        '"synchronous = FULL"',
        '"synchronous = OFF"',
        (STATE_FILE + "::test_what_makes_a_commit_durable_is_set",),
    ),
    Mutant(
        "durability: the epoch is not checked",
        "actors/state_database.py",
        "        if epoch > self.head.epoch:\n",
        "        if epoch > self.head.epoch + 1000:\n",
        (STATE_WRITER + "::test_a_life_that_was_superseded_commits_nothing",),
    ),
    Mutant(
        "durability: the witness is not written",
        "actors/state_database.py",
        "            self._witness.write(epoch, sequence)\n",
        "",
        (STATE_FILE + "::test_commits_that_the_log_lost_are_missed",),
    ),
    Mutant(
        "durability: a page's sequence is not checked",
        "actors/state_database.py",
        "if (count, total) != (self.head.pages, self.head.sum):",
        "if count != self.head.pages:",
        (STATE_FILE + "::test_a_page_of_an_earlier_commit_is_found_though_it_is_whole",),
    ),
    Mutant(
        "durability: an older record undoes what a page has",
        "engine/src/restoring.rs",
        "is_none_or(|as_of| *as_of < sequence)",
        "is_none_or(|_| true)",
        ("tests/engine/test_against_reference.py",),
    ),
    Mutant(
        "durability: whose message follows which is forgotten",
        "engine/src/restoring.rs",
        "message.previous = std::mem::replace(&mut latest_messages[whose], link_to(index));",
        "message.previous = None;",
        ("tests/engine/test_against_reference.py",),
    ),
    Mutant(
        "durability: a lease is not written",
        "actors/ledger_file.py",
        "dict(image_entry(image) for image in self.book.take_images())",
        "dict(image_entry(image) for image in self.book.take_images() if not hasattr(image, 'held'))",
        (LEASES,),
    ),
    Mutant(
        "durability: the ledger answers before it is on the disk",
        "actors/ledger.py",
        "        finally:\n            await self._file.durable()\n",
        "        finally:\n            await asyncio.sleep(0)\n",
        (LEASES,),
    ),
    Mutant(
        "durability: what came back is told before it is on the disk",
        "actors/ledger_link.py",
        "            self._wait_for_give_backs()\n",
        "            pass\n",
        (LEASES,),
    ),
    Mutant(
        "durability: what is decided is not kept while money is waited for",
        "engine/orchestrator.py",
        "                self._shard.keep_so_far(left, claim, answer)\n",
        "                pass\n",
        ("tests/engine/test_claims.py",),
    ),
)
