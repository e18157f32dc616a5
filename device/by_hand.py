"""``guardpost check --by-hand``: every part tried by whoever stands at the stopped post, recorded as one event."""

import logging
import queue
import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, closing

from device import BUILT
from device.check import results
from device.config import Config
from device.errors import ConfigError, InUse
from device.events import MOST_PARTS, Draft, PartTest, SelfTested, SystemData, Unusable
from device.hardware.clock import boot_id, floored, latest_passed_ms
from device.hardware.readers.driver import Copper
from device.parts import Ends
from device.readings import Clock, Instant
from device.record.journal import Sent
from device.record.opening import Record, open_record
from device.result import Result
from device.trial import Patience, Person, Trial
from device.turn import Turn
from device.wiring import crashes_told, passed_ms

_RUNS = (
    "the post is running and watches its parts itself: "
    "stop it first (systemctl stop guardpost), or send order/selftest"
)
_NOBODY = "check --by-hand asks what is seen and heard, and nobody answers: run it in a terminal"

log = logging.getLogger(__name__)


def by_hand(
    config: Config,
    copper: AbstractContextManager[Copper],
    clock: Clock,
    person: Person = Person(),  # noqa: B008 - frozen
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> int:
    """Try every part, print a line each, record it; 0 if all passed, else 1.

    ``copper``: is entered once the state folder is ours. Raises StateError, NotRecorded; ConfigError where nobody
    answers the first question, and then nothing is recorded.
    """
    try:
        record = open_record(config.post.state_dir, config.source, boot_id(), config.journal.most_bytes)
    except InUse:
        print(_RUNS, file=sys.stderr)
        return 1
    with closing(record):
        ends = Ends(floored(clock, BUILT, [config.written_ms]), queue.SimpleQueue())
        ends.clock.rise(latest_passed_ms(BUILT, passed_ms(record, ends.clock)))
        found: list[Result] = []
        try:
            with closing(_results(config, copper, ends, person, patience)) as tried:
                for result in tried:
                    found.append(result)
                    person.say(str(result))
        except (KeyboardInterrupt, EOFError) as end:
            if isinstance(end, EOFError) and not found:
                raise ConfigError(_NOBODY) from None
            why = "nobody answers any more" if isinstance(end, EOFError) else "ended by Ctrl-C"
            found.append(Result("self-test", False, f"{why} before every part was tried: run it again"))
            person.say("")  # what was typed stands on a line
            person.say(str(found[-1]))
        event = _recorded(record, ends.clock.now(), found)
        person.say(f"recorded as {event}; it is sent with the post's next start")
    return int(not all(result.passed for result in found))


def _results(
    config: Config, copper: AbstractContextManager[Copper], ends: Ends, person: Person, patience: Patience
) -> Generator[Result, None, None]:
    with copper as opened, crashes_told(ends):
        yield from Trial(config, opened, ends, person, patience).results()
    seen = {f"reader {reader.name}" for reader in config.reader}
    yield from (result for result in results(config, ends.clock, child=opened.camera) if result.part not in seen)


def _recorded(record: Record, now: Instant, found: Sequence[Result]) -> str:
    """The event's id. A chain that has to begin anew says so first, as at a start of the post."""
    for _, why in record.troubles:
        log.error("%s", why)
    troubles = (Unusable(what=what.value, why=why) for what, why in record.troubles)
    told: tuple[SystemData, ...] = (*troubles, _tested(found))
    turn = Turn([], record.chain)
    turn.begin([*record.began, *(Draft(subject="post", data=data) for data in told)], now)
    record.journal.append(turn.sealed, {}, Sent({}))
    return turn.sealed[-1].id


def _tested(found: Sequence[Result]) -> SelfTested:
    """What failed comes first, since a large post may have more parts than an event."""
    parts = tuple(
        PartTest(what=result.part, ok=None if result.advised else result.passed, why=result.why)
        for result in sorted(found, key=lambda result: result.passed)[:MOST_PARTS]
    )
    return SelfTested(why="check", order=None, passed=all(result.passed for result in found), parts=parts)
