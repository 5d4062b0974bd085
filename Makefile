# make demo: set up and run the main job, on RECORDING=FILE if one is given. make test: set up, lint, types, tests.
# make test-long: the tests that take more than ten seconds each, and those with other programs as peers.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test test-long lint types audit clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/python -m streamvdib demo --out out/demo $(RECORDING)

test: lint types
	$(BIN)/python -m pytest -q -m "not slow and not soak and not peer" $(PYTEST_ARGS)

test-long: $(INSTALLED)
	$(BIN)/python -m pytest -q -m "(slow or peer) and not soak" $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The type checker does not follow an editable install's mapping, so it is given the layout of the wheel.
types: $(INSTALLED)
	rm -rf build/types && mkdir -p build/types/streamvdib
	ln -s $(CURDIR)/streamvdib/* build/types/streamvdib/
	ln -s $(CURDIR)/services $(CURDIR)/replay build/types/streamvdib/
	cd build/types && $(CURDIR)/$(BIN)/mypy --cache-dir $(CURDIR)/.mypy_cache --config-file $(CURDIR)/pyproject.toml -p streamvdib

# Known weaknesses of what is installed; needs the network.
audit: $(INSTALLED)
	$(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install -q pip-audit
	build/audit/bin/pip-audit --path $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf .venv build out
