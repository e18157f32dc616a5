"""The line's seeds are what readers say, and bending them finds every way in which it is refused."""

import random

from device.hardware.readers.osdp_cards import CardRead, number
from device.hardware.readers.osdp_frames import judge
from device.hardware.readers.reader import FrameRefused
from fuzz.osdp_line import ASKED, CARDS, LINES, bent_line, heard


def test_the_seeds_are_answers_and_badges() -> None:
    for line in LINES[:6]:
        judge(ASKED[line[0] // 2], heard(line[1:])[0])
    judge(ASKED[5], heard(LINES[6][1:])[0], installing=True)
    for card in CARDS:
        number(CardRead(card[0], card[1], card[3:]))


def test_mutation_goes_deep() -> None:
    """Of some thousand bent inputs some are still answers, and the others are refused for every reason there is."""
    chance, admitted, refused = random.Random(7), 0, set()
    for _ in range(5000):
        line = bent_line(chance.choice(LINES), chance)
        for answer in heard(line[1:]):
            try:
                judge(ASKED[line[0] // 2 % len(ASKED)] if line else ASKED[0], answer)
                admitted += 1
            except FrameRefused as why:
                refused.add(str(why))
    assert admitted
    for part in ("somebody who was not asked", "that was not asked", "unsecured answer", "needs a secure channel"):
        assert any(part in told for told in refused), part
