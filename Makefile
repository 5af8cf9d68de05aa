# `make` alone lists the targets. Figures in README.md name the target that made them.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD_DATE ?= $(shell git log -1 --format=%cI 2>/dev/null || date -u +%Y-%m-%dT%H:%M:%SZ)
LDFLAGS = -s -w -X main.version=$(VERSION) -X main.buildDate=$(BUILD_DATE)
# Packages that run at start-up, on rare occasions or for moments at a time are
# compiled without inlining: 0.7 MB less in a binary that travels over LTE. The
# hot path (decoders, columns, bbolt, zstd, runtime, checksums, ciphers) keeps it.
FIPS = crypto/internal/fips140
COLD = github.com/goccy/go-yaml/... github.com/spf13/... github.com/adrianmo/... github.com/fsnotify/... \
	github.com/coreos/... go.bug.st/... vendor/... net net/... crypto/x509/... \
	crypto/tls/... encoding/... math/big regexp/... text/... mime/... compress/... context log/... os os/... fmt reflect time \
	crypto/rsa crypto/ecdsa crypto/ecdh crypto/ed25519 crypto/hpke $(addprefix $(FIPS)/,ecdsa ed25519 edwards25519/... ecdh rsa nistec mlkem sha3 tls12 tls13 hkdf drbg) \
	internal/poll internal/syscall/... internal/fmtsort internal/godebug path/... sort go.einride.tech/... \
	obu/cmd/... obu/internal/config obu/internal/agent obu/internal/clock obu/internal/trip obu/telemetry/ledger obu/dashcam obu/gps \
	obu/buffer obu/buffer/wreck obu/uplink obu/uplink/budget obu/can/canlog obu/can/frame obu/can/j1939 obu/can/link obu/can/obd obu/can/uds \
	github.com/eclipse/... golang.org/x/... unicode/... unique iter maps flag hash/fnv hash/maphash internal/bisect internal/singleflight internal/filepathlite container/...
GCFLAGS = $(foreach p,$(COLD),-gcflags=$(p)=-l)
BUILD = CGO_ENABLED=0 go build -trimpath $(GCFLAGS) -ldflags "$(LDFLAGS)"
export GOTOOLCHAIN = local

.PHONY: help build demo test check bench dist fleet figures encoding brokers cluster drain wear crash damage month rig link clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/obu and bin/fleet for this machine
	@mkdir -p bin
	@echo building bin/obu and bin/fleet
	@$(BUILD) -o bin/obu ./cmd/obu
	@$(BUILD) -o bin/fleet ./cmd/fleet

demo: build ## one virtual car, the real agent, a cut link and the ledger (DRIVE=DIR: a replay folder)
	bin/fleet demo --obu bin/obu $(if $(DRIVE),--drive "$(DRIVE)")

# The race detector needs a C compiler.
RACE = $(shell command -v gcc cc clang >/dev/null 2>&1 && echo -race)

test: ## every test that needs no hardware, with the race detector
	@$(if $(RACE),,echo "no C compiler: the tests run without the race detector")
	go test $(RACE) -timeout 20m ./...

check: ## formatting, vet, staticcheck, layers
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt wants:"; echo "$$out"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go test -count=1 -run 'TestLayers' ./cmd/obu

bench: ## benchmarks of every package (BASE=ref: compare with another commit)
	@bash .ci/bench $(BASE)

dist: ## static stripped binaries for amd64, arm64, armv7, their xz packages and sizes
	@GCFLAGS="$(GCFLAGS)" bash .ci/dist "$(LDFLAGS)"

fleet: build ## 400 virtual cars for a minute
	bin/fleet --cars 400 --load track --for 60s

encoding: ## bytes per vehicle-hour of drives and loads beside rivals and a near limit (xz), and CPU; some minutes
	@OBU_ENCODING=1 go test -count=1 -timeout 60m -run 'TestEncoding(Table|CPU)' -v ./telemetry | grep -v '^=== '

BROKER ?= mosquitto|nats|rabbitmq
brokers: ## acceptance on real brokers the suite starts itself, minutes (BROKER='mosquitto|nats': only those)
	@OBU_BROKERS=1 go test -count=1 -timeout 20m -v -run '^(TestBrokers|TestMosquittoForgets|TestPacketLimit)$$/^($(BROKER)|puback|receipt)$$' ./internal/acceptance

cluster: ## three nodes of NATS JetStream and of RabbitMQ, the node in use killed mid-drain, minutes
	@OBU_BROKERS=cluster go test -count=1 -timeout 20m -v -run '^TestCluster$$' ./internal/acceptance

drain: build ## a day of one-second batches after an outage, beside a mosquitto bridge with the same values; ten minutes
	@OBU_BROKERS=drain go test -count=1 -timeout 40m -v -run '^TestDrain$$' ./internal/acceptance

rig: ## a virtual machine with the kernel's own CAN: buses, controllers, unplugging, power cuts, a clock at 1970; minutes (OBU_RIG_CUTS=n)
	@OBU_RIG=1 go test -count=1 -timeout 40m -v ./internal/rig | grep -v '^=== '

.PHONY: rigbench
rigbench: ## the agent beside candump -l on four buses of a virtual machine: CPU and loss by rate, minutes (OBU_RIG_TIME=emulated)
	@OBU_RIG=bench go test -count=1 -timeout 40m -v -run '^TestReceiving$$' ./internal/rig | grep -v '^=== '

figures: build ## the figures README.md states: CPU per million frames, wire bytes per hour, RSS, start-up
	@bash .ci/figures

wear: ## bytes the block device is given to write, on a loop-mounted ext4 (root, minutes; WEAR_MOUNT=commit=60)
	OBU_WEAR=1 OBU_WEAR_MOUNT=$(WEAR_MOUNT) go test -count=1 -timeout 30m -v -run 'TestWear' ./buffer | grep -v '^=== '

crash: ## a power cut at every operation of the store's life, and seeded bugs that it has to notice (root, ten minutes; SEED=n: another life)
	@set -o pipefail; OBU_CRASH=1 OBU_CRASH_SEED=$(SEED) go test -count=1 -timeout 60m -v -run '^TestCrash' ./buffer | grep -v '^=== '

damage: ## 6,000 damaged images of real stores, and seeded bugs that the laws have to notice (a minute or two; SEED=n: other images)
	@OBU_DAMAGE_IMAGES=6000 OBU_DAMAGE_SEED=$${SEED:-1} go test -timeout 30m -count=1 -v -run '^TestDamage(Laws|NoticesBugs)$$' ./buffer | grep -v '^=== '

.PHONY: proof
proof: ## what proving a store reads before it is opened, and what the opening reads (PROOF_DIR: a folder on a disk)
	@OBU_PROVE_DIR=$${PROOF_DIR:-/var/tmp} go test -timeout 20m -count=1 -v -run '^TestProofCost$$' ./buffer | grep '^proof: '

month: ## thirty days of a car, a batch a second: files within a tenth of their quotas
	OBU_MONTH=1 go test -count=1 -timeout 30m -v -run 'TestMonth' ./buffer

link: ## live first with the real store, mosquitto and a slow link: the table of docs/benchmarks.md (minutes)
	OBU_LINK=1 go test -count=1 -timeout 30m -v -run 'TestLinkFigures' ./cmd/fleet

.PHONY: lossy
lossy: ## history and live data over a link that loses packets, beside plain TCP (root, five minutes)
	OBU_LOSSY=1 go test -count=1 -timeout 20m -v -run 'TestLossyFigures' ./uplink | grep -v '^=== '

.PHONY: receivers
receivers: ## tables of docs/receivers.md and of GPS in docs/benchmarks.md (OBU_GPSD=test/daemon of a checkout of gpsd; gpsdecode)
	@OBU_RECEIVERS=1 go test -count=1 -timeout 20m -run 'TestReceiversTable|TestCostBesideGpsdecode' -v ./gps | sed -n 's/^ *[a-z]*_test.go:[0-9]*: //p'

clean: ## remove what was built
	rm -rf bin dist out
