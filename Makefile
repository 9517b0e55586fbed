# Verbs only; the build itself is Meson's (meson.build).
CC ?= gcc
B ?= build
SAN = build-asan

.PHONY: all run test unit e2e check fmt bench fuzz tsan install clean packages-run packages-test soak

all: $(B)/build.ninja
	@ninja -C $(B) >$(B)/ninja.log || { cat $(B)/ninja.log; exit 1; }
	@ln -sf src/cmd/slipway src/init/slipway-init $(B)/

$(B)/build.ninja:
	@meson setup $(B) >/dev/null

$(SAN)/build.ninja:
	@meson setup $(SAN) -Db_sanitize=address,undefined -Dwerror=true -Dbuildtype=debug -Doptimization=1 >/dev/null

packages-run:
	@scripts/install-packages run

packages-test:
	@scripts/install-packages test

run: packages-run all          ## start the whole platform on loopback with the sample project (RUN_ARGS: more options)
	@exec $(B)/slipway up --state var --log warn --sample examples/hello-site $(RUN_ARGS)

test: packages-test all $(SAN)/build.ninja   ## build with sanitizers, run every test
	@scripts/run-tests $(SAN)

unit: $(SAN)/build.ninja       ## only the unit tests and corpora, with sanitizers
	@scripts/run-tests $(SAN) --unit

e2e: all $(SAN)/build.ninja    ## only the end-to-end tests
	@scripts/run-tests $(SAN) --e2e

check: packages-test           ## layers, headers, format, static analysis, both compilers
	@scripts/check

fmt:
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' | xargs clang-format -i

bench: packages-test all       ## print the table of figures
	@/usr/bin/python3 bench/run.py --build $(B)

fuzz: packages-test            ## run each fuzzer for FUZZ_SECONDS (20)
	@scripts/fuzz

tsan: packages-test            ## the threaded parts' unit tests under ThreadSanitizer
	@scripts/run-tsan

install: all
	@meson install -C $(B)

clean:
	rm -rf build build-*
