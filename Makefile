# The entry points of this project; CI uses nothing else. `make` lists them.
#
# Needed: Rust, a C compiler, a JDK of 17 or later, and Maven for the Clojure jars (not for `clojure -X:deps prep`).
# Everything is built under target/, and put in place by rename, so that a live REPL keeps the library that it has.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build demo bench test storm fuzz check classpath clean tools maven FORCE

CARGO ?= cargo
MVN ?= mvn
JAVA := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)
JAVAC := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/javac,javac)

# Set by the prep function of deps.edn: where Clojure is, when there is no need to ask Maven.
CLOJURE_JARS ?=
export CLOJURE_JARS

# The version of a library as the aliases of deps.edn have it.
version = $(shell sed -n 's|.*$(1) {:mvn/version "\([^"]*\)"}.*|\1|p' deps.edn | head -n 1)
TOOLS_DEPS = $(call version,org.clojure/tools.deps)
SLF4J_NOP = $(call version,org.slf4j/slf4j-nop)
DEPENDENCY_PLUGIN := org.apache.maven.plugins:maven-dependency-plugin:3.8.1

OS := $(if $(filter Darwin,$(shell uname -s)),macos,linux)
ARCH := $(subst arm64,aarch64,$(subst amd64,x86_64,$(shell uname -m)))
LIBRARY := $(if $(filter macos,$(OS)),liberrand.dylib,liberrand.so)
SHA256 := $(if $(filter macos,$(OS)),shasum -a 256,sha256sum)

CLASSES := target/classes
JAVA_SOURCES := $(wildcard clj/errand/impl/*.java)

# The class paths that deps.edn means, as its aliases name them; `run` is the plain one.
PATHS := target/classpath
MISSING_JARS := $(shell for path in $(wildcard $(PATHS)/test $(PATHS)/tools); do tr : '\n' <$$path; echo; done | \
	grep '[.]jar$$' | while read -r jar; do test -e "$$jar" || echo missing; done)

# Puts the file $from at $to by rename, and only when it differs.
place = { cmp -s "$$from" "$$to" || { mkdir -p "$${to%/*}" && cp "$$from" "$$to.new" && mv -f "$$to.new" "$$to"; }; }

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

build: tools target/javac.stamp ## the errand program, the native library and the Java classes, all for release
	@$(CARGO) build --release --locked --lib --bins --target-dir target
	@from=target/release/$(LIBRARY); to=$(CLASSES)/errand/native/$(OS)-$(ARCH)/$(LIBRARY); $(place)
	@from=target/release/$(LIBRARY); to=$(CLASSES)/errand/native/$(OS)-$(ARCH)/sha256; \
	set -- $$($(SHA256) $$from); echo "$$1 $$(wc -c <$$from | tr -d ' ')" >$$from.sha256; from=$$from.sha256; $(place)
	@from=src/value/words.txt; to=$(CLASSES)/errand/impl/words.txt; $(place)
	@for from in target/javac/errand/impl/*.class; do to="$(CLASSES)/errand/impl/$${from##*/}"; $(place) || exit 1; done
	@for to in $(CLASSES)/errand/impl/*.class; do test -e "target/javac/errand/impl/$${to##*/}" || rm -f "$$to"; done

target/javac.stamp: $(JAVA_SOURCES) clj/errand/impl Makefile $(if $(CLOJURE_JARS),,$(PATHS)/run)
	@rm -rf target/javac && mkdir -p target/javac
	@$(JAVAC) --release 17 -Xlint:all,-path -d target/javac -cp "$${CLOJURE_JARS:-$$(cat $(PATHS)/run)}" $(JAVA_SOURCES)
	@touch $@

demo: build ## a Clojure flow, a worker and a handler script review this project's own sources
	@JAVA='$(JAVA)' examples/demo.sh

# What is given to the benchmark, such as BENCH='--only AC --rounds 3'; --help lists it.
BENCH ?=

bench: build ## measure every phase beside raw SQLite on this disk: a table, target/bench.json, target/bench.svg
	@$(CARGO) bench --locked --quiet --bench bench --target-dir target -- $(BENCH)

# What is given to the fuzzer, such as FUZZ='--seconds 600 json http'.
FUZZ ?=

fuzz: tools $(PATHS)/run ## fuzz every reader and the server for a minute each: a line for each, failures to tests/corpus
	@command -v c++ >/dev/null || { echo 'make: a C++ compiler is missing, libFuzzer needs it: install g++ or clang' >&2; exit 1; }
	@CARGO='$(CARGO)' JAVA='$(JAVA)' tests/fuzz.sh $(FUZZ)

test: tools maven ## every test: Rust, and Clojure on the default and on the newest JDK
	@MAKE='$(MAKE)' CARGO='$(CARGO)' tests/run.sh

# What is given to the storms, such as STORM='--seconds 3600 --only processes'; --help lists it.
STORM ?=

storm: build ## kill, stop and starve real processes for about 5 minutes: a line for each part, failing on what was lost
	@JAVA='$(JAVA)' CARGO='$(CARGO)' tests/storm.sh $(STORM)

check: tools ## format and lints, with warnings as errors, then every test
	@$(CARGO) fmt --check
	@$(CARGO) clippy --locked --all-targets --target-dir target -- -D warnings
	@$(MAKE) test

classpath: $(PATHS)/run ## print the Java class path for programs that require errand.flow, after make build (elsewhere: make -s -C)
	@test -e $(CLASSES)/errand/impl/Codec.class && test -e $(CLASSES)/errand/native/$(OS)-$(ARCH)/$(LIBRARY) || \
		echo 'make: target/classes lacks the library: run make build first' >&2
	@tr ':' '\n' <$(PATHS)/run | sed 's|^\([^/]\)|$(CURDIR)/\1|' | paste -sd : -

clean: ## remove everything that was built
	rm -rf target

# deps.edn is resolved by org.clojure/tools.deps, which is what the Clojure CLI runs; Maven fetches it.
$(PATHS)/run: deps.edn clj/errand/impl/build.clj $(PATHS)/tools $(if $(MISSING_JARS),FORCE)
	@mkdir -p $(PATHS)
	@$(JAVA) -cp "clj:$$(cat $(PATHS)/tools)" clojure.main -m errand.impl.build $(PATHS) test demo dev >&2
	@touch $@

$(PATHS)/tools: deps.edn Makefile $(if $(MISSING_JARS),FORCE) | tools maven
	@mkdir -p $(PATHS)
	@printf '%s' '$(POM)' >$(PATHS)/pom.xml
	@echo 'fetching tools.deps $(TOOLS_DEPS) with Maven' >&2
	@said=$$($(MVN) -B -q -Dstyle.color=never -f $(PATHS)/pom.xml $(DEPENDENCY_PLUGIN):build-classpath \
		-Dmdep.outputFile=tools.new 2>&1) || { printf '%s\n' "$$said" >&2; exit 1; }
	@mv $(PATHS)/tools.new $@

POM := <project><modelVersion>4.0.0</modelVersion><groupId>errand</groupId><artifactId>tools</artifactId>$\
	<version>1</version><packaging>pom</packaging><dependencies><dependency><groupId>org.clojure</groupId>$\
	<artifactId>tools.deps</artifactId><version>$(TOOLS_DEPS)</version></dependency><dependency><groupId>org.slf4j</groupId>$\
	<artifactId>slf4j-nop</artifactId><version>$(SLF4J_NOP)</version></dependency></dependencies></project>

# What the machine must have, each said once and clearly.
tools:
	@lacks() { echo "make: $$1" >&2; missing=1; }; missing=0; \
	command -v $(CARGO) >/dev/null || lacks 'cargo is missing: install Rust, see https://rustup.rs'; \
	command -v $${CC:-cc} >/dev/null || \
		lacks 'a C compiler is missing: install gcc or clang (Debian: apt install gcc; macOS: xcode-select --install)'; \
	if command -v $(JAVAC) >/dev/null; then \
		found=$$($(JAVAC) -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p'); \
		test "$${found:-0}" -ge 17 || lacks "the JDK is version $$found, 17 or later is needed: set JAVA_HOME to one"; \
	else lacks 'javac is missing: install a JDK of 17 or later (Debian: apt install openjdk-17-jdk), or set JAVA_HOME'; fi; \
	exit $$missing

maven:
	@command -v $(MVN) >/dev/null || \
		{ echo 'make: mvn is missing: install Maven (Debian: apt install maven; macOS: brew install maven)' >&2; exit 1; }
