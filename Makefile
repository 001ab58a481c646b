# Every task of this repository. `make` lists them; CI runs `make test`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

SCRIPTS := .ci/run .cargo/cc.sh .cargo/cxx.sh tests/setup.sh \
	$(wildcard tools/examples/*.sh tools/examples/*/*.sh)

.PHONY: help test demo setup fmt lint programs unit soak soak-brief fuzz-check bench bench-store bench-peers deny

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

test: setup lint programs unit soak-brief fuzz-check ## everything CI runs: set-up, formatting, clippy, all tests

demo: ## one offer from a folder to a promoted image, with the real commands
	@tools/examples/demo.sh

setup: ## install what building and testing need and this machine lacks
	@tests/setup.sh test

fmt: ## format the code
	cargo fmt --all

lint: ## formatting, clippy without warnings, scripts that parse, pictures as drawn
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@for script in $(SCRIPTS); do bash -n "$$script"; done
	@if command -v python3 >/dev/null; then tools/examples/tidepool-cache/make-pictures.py --check; fi

programs: ## build the three programs that the end-to-end tests start
	cargo build --locked -p wharf-proxy -p wharf-tools -p wharf-testkit --bins

unit: programs ## all tests, with the end-to-end tests against real clients
	WHARF_BIN_DIR="$${CARGO_TARGET_DIR:-$$PWD/target}/debug" cargo test --workspace --locked

soak: programs ## ten minutes of everything at once; memory and files must stay flat
	WHARF_BIN_DIR="$${CARGO_TARGET_DIR:-$$PWD/target}/debug" \
		"$${CARGO_TARGET_DIR:-$$PWD/target}/debug/wharf-soak"

soak-brief: ## two minutes of it
	@WHARF_SOAK_SECONDS=120 $(MAKE) soak

fuzz-check: ## compile the fuzz targets
	@if [ -f fuzz/Cargo.toml ]; then set -x; \
		cargo check --manifest-path fuzz/Cargo.toml --target-dir target --locked; fi

bench: ## run the benches
	cargo bench -p wharf-benches --locked

bench-store: ## what the store does, as a table of figures against targets (takes minutes, and 8 GiB of disk)
	cargo run --release --locked -p wharf-benches --bin bench-store

bench-peers: ## wharfd beside docker-registry and nginx (an hour, 28 GiB of disk; ARGS="--quick hot" for less)
	@tests/setup.sh bench
	cargo build --release --locked -p wharf-proxy --bins
	cargo build --release --locked -p wharf-testkit --bin acr-double
	cargo run --release --locked -p wharf-benches --bin bench-peers -- $(ARGS)

deny: ## licences, bans and advisories of the dependencies
	@cargo deny --version >/dev/null 2>&1 || \
		{ echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny check
