# Every target does its own set-up: a virtual environment in .venv, packages held to their hashes, and for the
# tests a few programs from Debian.

PYTHON ?= python3
BIN := .venv/bin
DEMO_SECONDS ?=
PYTEST_ARGS ?=
ROUNDS ?= 200
CUTS ?= 160
CASES ?= 5000
SCALE ?= 1
SEED ?=
INPUTS ?= 1000000

PROGRAMS := mosquitto mosquitto_sub:mosquitto-clients strace prlimit:util-linux systemd-analyze:systemd \
	fusermount3:fuse3 chromium
DEBIAN := sh tests/debian-programs.sh $(PROGRAMS)
PI := PYTHONPATH=tests $(BIN)/python -m pi --programs "$(PROGRAMS)"

.PHONY: demo test test-pi faults bench powercuts damage fuzz lint format schemas requirements clean
.DELETE_ON_ERROR:

demo: .venv/.sim
	$(BIN)/guardpost-sim demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

test: .venv/.test
	$(DEBIAN)
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

# On the Pi's own Python and libcamera, in Debian trixie: first the camera's contract on real picamera2, then all.
test-pi: .venv/.test
	sh tests/debian-programs.sh mmdebstrap unshare:util-linux
	$(PI) env PYTHONPATH=/guardpost/tests GUARDPOST_CAMERA="python -m pi.child" python -m pytest tests/camera
	$(PI) python -m pytest -n 2 $(PYTEST_ARGS)

faults: .venv/.test
	$(DEBIAN)
	PYTHONPATH=tests/support:tests $(BIN)/python -m faults --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

# On the disk of this folder, not on one in memory. Slow lines and picamera2 need more, and do without if need be.
bench: .venv/.test
	$(DEBIAN)
	-sh tests/debian-programs.sh tc:iproute2 mmdebstrap unshare:util-linux
	PYTHONPATH=tests/support:tests $(BIN)/python -m bench --folder var --scale $(SCALE) --pi "$(PROGRAMS)"

powercuts: .venv/.test
	$(DEBIAN)
	PYTHONPATH=tests/support:tests $(BIN)/python -m powercuts --cuts $(CUTS) $(if $(SEED),--seed $(SEED))

damage: .venv/.test
	PYTHONPATH=tests/support:tests $(BIN)/python -m damage --cases $(CASES) $(if $(SEED),--seed $(SEED))

fuzz: .venv/.test .venv/.fuzz
	PYTHONPATH=tests/support:tests $(BIN)/python -m fuzz --inputs $(INPUTS) $(if $(SEED),--seed $(SEED))

lint: .venv/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schemas: .venv/.test
	$(BIN)/python -m device.schemas docs
	$(BIN)/python tests/docs/vectors.py docs/vectors

# Needs uv. Names no registry; every file is held to its hash.
requirements:
	uv pip compile -q --upgrade $(COMPILE) --group build --group post -o requirements/post.txt
	uv pip compile -q --upgrade $(COMPILE) --group build --group post --extra osdp -o requirements/osdp.txt
	uv pip compile -q --upgrade $(COMPILE) --group build --extra sim --extra recorder -o requirements/sim.txt
	uv pip compile -q --upgrade $(COMPILE) --group build --group test --extra sim --extra recorder -o requirements/test.txt
	uv pip compile -q --upgrade $(LOCK) tests/fuzz/requirements.in -o requirements/fuzz.txt
	uv pip compile -q --upgrade $(LOCK) --no-deps tests/pi/requirements.in -o requirements/pi.txt
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header
COMPILE := $(LOCK) pyproject.toml

.venv/bin/pip:
	sh tests/debian-programs.sh $(PYTHON):python3 venv:python3-venv
	$(PYTHON) -m venv .venv

.venv/.%: requirements/%.txt pyproject.toml | .venv/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
