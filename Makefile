GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    := 10s
SOURCES     := $(shell find . -name .git -prune -o -type f \( -name '*.go' -o -name '*.tmpl' -o -name 'go.*' \) -print)

.PHONY: all build deb image demo demo-down test controlplane e2e simulate bench scale bench-kernel fmt lint fuzz clean help

all: build lint test ## build, check and test everything

build: bin/weft ## build bin/weft

bin/weft: $(SOURCES)
	@.ci/timed "built $@" env CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/weft

bin/bench: $(SOURCES)
	@.ci/timed "built $@" go build -o $@ ./examples/bench

bin/demo: $(SOURCES)
	@.ci/timed "built $@" go build -o $@ ./examples/demo

demo: ## see weft steer real connections, in namespaces of its own (root; KEEP=1 leaves it up)
	@.ci/need nft ip
	@$(MAKE) --no-print-directory bin/weft bin/demo
	@bin/demo -weft bin/weft $(if $(filter-out 0,$(KEEP)),-keep)

demo-down: bin/demo ## take down what make demo KEEP=1 left up
	@bin/demo -down

test: ## run all tests but those of make e2e; as root also those that need the kernel
	@.ci/test $(TESTFLAGS)

controlplane: ## compile kube-apiserver, kube-proxy, kubectl and etcd for make e2e, once (ten minutes)
	@go run ./examples/lab/controlplane/make

e2e: ## run weft in a real cluster, beside a real kube-proxy (root; needs make controlplane)
	@.ci/need gcc nft ip conntrack iptables
	@WEFT_REQUIRE_CONTROLPLANE=1 WEFT_REQUIRE_KERNEL=1 .ci/timed "tests in a real cluster" go test -race -count=1 -parallel 3 -timeout 20m $(TESTFLAGS) ./examples/e2e

deb: ## build bin/weft_VERSION_ARCH.deb (VERSION=, GOARCH=, MAINTAINER= may be given)
	@.ci/need dpkg-deb
	@examples/debian/build bin

image: ## build a container image (needs docker; IMAGE=NAME:TAG)
	docker build -f examples/image/Dockerfile -t $(or $(IMAGE),weft) .

simulate: ## weigh policies against each other in a simulation: tables, and plots in bin/simulate
	@go run ./examples/simulate -out bin/simulate

bench: ## run the benchmarks, and what weft costs in the kernel by size: table and plots in bin/scale (root; FULL=1 takes all sizes)
	go test -run '^$$' -bench . -benchmem ./...
	@$(MAKE) --no-print-directory scale

scale: ## the part of make bench in the kernel (root; three minutes, or with FULL=1 up to 10,000 ServicePorts)
	@.ci/need nft ip
	@$(MAKE) --no-print-directory bin/weft
	@go run ./examples/scale -weft bin/weft -out bin/scale $(if $(filter-out 0,$(FULL)),-full)

bench-kernel: ## weft beside equal shares on real nodes that slow down and die: tables, and plots in bin/kernel (root; four minutes)
	@.ci/need nft ip conntrack
	@$(MAKE) --no-print-directory bin/weft bin/bench
	@bin/bench -weft bin/weft -out bin/kernel

fmt: ## format the source
	@$(GOFUMPT) -l -w .

lint: ## check format, vet and staticcheck
	@out=$$($(GOFUMPT) -l .) && test -z "$$out" || { echo "not formatted (make fmt):" $$out; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

fuzz: ## run every fuzz test for FUZZTIME (10s)
	@.ci/fuzz $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12
