"""One parser under atheris, in a process that libFuzzer ends: ``python -m fuzz.guided TARGET INPUTS SEED``."""

import random
import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

with atheris.instrument_imports(include=["device", "recorder", "rfc8785"]):
    from fuzz.targets import TARGETS

from fuzz.mutation import MAX_BYTES

CORPUS = "corpus"
FOUND = "found-"


def main(name: str, inputs: str, seed: str) -> None:
    """Coverage-guided: libFuzzer's own mutations and ours by turns. Writes below the working directory."""
    target = TARGETS[name]

    def mutate(data: bytes, max_size: int, number: int) -> bytes:
        chance = random.Random(number)
        if chance.random() < 0.5:
            return bytes(atheris.Mutate(data, max_size))
        return target.bend(data if chance.random() < 0.7 else chance.choice(target.seeds), chance)[:max_size]

    Path(CORPUS).mkdir()
    for number, valid in enumerate(target.seeds):
        (Path(CORPUS) / str(number)).write_bytes(valid)
    words = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={MAX_BYTES}", "-timeout=5", f"-artifact_prefix={FOUND}"]
    atheris.Setup([sys.argv[0], *words, CORPUS], target.run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
