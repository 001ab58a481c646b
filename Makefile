# Every task of this repository. `make` lists them; CI runs `make test`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

SCRIPTS := .ci/run ci/verify.sh .cargo/cc.sh .cargo/cxx.sh tests/setup.sh benches/tools/run.sh \
	$(wildcard tools/examples/*.sh tools/examples/*/*.sh)

.PHONY: help test trials demo setup fmt lint programs tests corpus soak soak-brief fuzz-check fuzz-tools bench bench-store bench-tools bench-peers deny reference book

TARGET := $${CARGO_TARGET_DIR:-$$PWD/target}

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

test: setup lint tests fuzz-check ## everything CI runs, in minutes: formatting, clippy, all tests

trials: setup programs ## kills, crashes, crowds, faults, patience, tenants, fuzzing and a soak at their whole size (an hour and a half)
	@tests/setup.sh trials
	WHARF_TRIALS=1 WHARF_BIN_DIR="$(TARGET)/debug" \
		cargo nextest run --workspace --locked --profile trials
	@$(MAKE) soak-brief

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

# All at once, with the tests: a build of a part would choose other features of dependencies, and
# compile them twice.
programs: ## build the programs, and the tests that start them
	cargo build --workspace --all-targets --locked

tests: programs ## all tests, with the end-to-end tests against real clients (ARGS="-E 'test(push)'" for less)
	WHARF_BIN_DIR="$(TARGET)/debug" cargo nextest run --workspace --locked $(ARGS)

corpus: programs ## the corpus of broken images and offers as a table: what is broken, which rule finds it
	@WHARF_BIN_DIR="$(TARGET)/debug" cargo nextest run --workspace --locked --no-capture \
		-E 'package(wharf-e2e) & test(=corpus::each_case_raises_exactly_its_rule)'

soak: programs ## ten minutes of everything at once; memory and files must stay flat
	WHARF_BIN_DIR="$(TARGET)/debug" "$(TARGET)/debug/wharf-soak"

soak-brief: ## two minutes of it
	@WHARF_SOAK_SECONDS=120 $(MAKE) soak

reference: programs ## write the generated pages of docs/reference
	WHARF_WRITE_DOCS=1 WHARF_BIN_DIR="$(TARGET)/debug" cargo nextest run --workspace --locked \
		-E 'package(wharf-e2e) & test(/^book::.*current/) | test(the_reference_is_what_the_types_say)'

book: ## the documents as a book with search, in target/book
	@command -v mdbook >/dev/null || { echo "mdbook is missing: cargo install --locked mdbook" >&2; exit 1; }
	mdbook build

fuzz-check: ## compile the fuzz targets
	@if [ -f fuzz/Cargo.toml ]; then set -x; \
		cargo check --manifest-path fuzz/Cargo.toml --target-dir target --locked; fi
	cargo check --manifest-path fuzz/tools/Cargo.toml --target-dir target --locked

FUZZ_COVERAGE := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions --cfg fuzzing

fuzz-tools: ## fuzz one target of the command line: make fuzz-tools NAME=layer FUZZ_SECONDS=600
	cd fuzz/tools && RUSTFLAGS="$(FUZZ_COVERAGE)" cargo +nightly build --release --locked --bin $(NAME) \
		--target $$(rustc -vV | sed -n 's/^host: //p') --target-dir target
	mkdir -p fuzz/tools/target/found/$(NAME)
	cd fuzz/tools && ./target/$$(rustc -vV | sed -n 's/^host: //p')/release/$(NAME) \
		-max_total_time=$${FUZZ_SECONDS:-600} -max_len=65536 -timeout=25 target/found/$(NAME) corpus/$(NAME)

bench: ## run the benches
	cargo bench -p wharf-benches --locked

bench-store: ## what the store does, as a table of figures against targets (takes minutes, and 8 GiB of disk)
	cargo run --release --locked -p wharf-benches --bin bench-store

bench-tools: ## wharf verify, package and promote beside the programs that people have (25 minutes, 12 GiB of disk)
	cargo build --release --locked -p wharf-tools
	@benches/tools/run.sh

bench-peers: ## wharfd beside docker-registry and nginx (an hour, 28 GiB of disk; ARGS="--quick hot" for less)
	@tests/setup.sh bench
	cargo build --release --locked -p wharf-proxy --bins
	cargo build --release --locked -p wharf-double --bin acr-double
	cargo run --release --locked -p wharf-benches --bin bench-peers -- $(ARGS)

deny: ## licences, bans and advisories of the dependencies
	@cargo deny --version >/dev/null 2>&1 || \
		{ echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny check
