package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rule forbids a package (with everything it imports) to depend on others.
type rule struct {
	pkg       string // import path; its sub-packages are meant too
	forbidden string // import path prefix
	why       string
}

var siblings = []string{"obu/can", "obu/gps", "obu/dashcam", "obu/buffer", "obu/uplink"}

func layerRules() []rule {
	var rules []rule
	for _, a := range siblings {
		for _, b := range siblings {
			if a != b {
				rules = append(rules, rule{a, b, "sources, disk and wire are siblings and never touch; the agent wires them"})
			}
		}
		for _, up := range []string{"obu/internal/agent", "obu/internal/virtual", "obu/internal/config", "obu/cmd"} {
			rules = append(rules, rule{a, up, "arrows point down"})
		}
	}
	for _, up := range append([]string{"obu/internal", "obu/cmd"}, siblings...) {
		rules = append(rules, rule{"obu/telemetry", up, "the vocabulary depends on nothing of ours"})
	}
	for _, up := range append([]string{"obu/internal/agent", "obu/internal/virtual", "obu/internal/config", "obu/cmd"}, siblings...) {
		rules = append(rules, rule{"obu/internal/clock", up, "floor 1 knows only the vocabulary"})
	}
	for _, other := range append([]string{"obu/internal/agent", "obu/internal/virtual", "obu/internal/config", "obu/internal/clock", "obu/cmd"}, siblings...) {
		rules = append(rules, rule{"obu/internal/trip", other, "it hears fixes and samples, whoever says them: the vocabulary is enough"})
	}
	for _, up := range append([]string{"obu/telemetry", "obu/internal/virtual", "obu/internal/clock"}, siblings...) {
		rules = append(rules, rule{up, "obu/internal/trip", "arrows point down"})
	}
	for _, up := range []string{"obu/internal/agent", "obu/buffer", "obu/uplink", "obu/cmd"} {
		rules = append(rules, rule{"obu/internal/virtual", up, "the make-believe car must not know what listens to it"})
	}
	for _, up := range []string{"obu/internal/virtual", "obu/cmd"} {
		rules = append(rules, rule{"obu/internal/agent", up, "the agent runs in real cars"})
	}
	rules = append(rules,
		rule{"obu/buffer/wreck", "obu/telemetry", "it reads pages, whatever they mean"},
		rule{"obu/buffer/wreck", "go.etcd.io/bbolt", "it exists because bbolt must not read them"},
		rule{"obu/cmd/obu", "obu/internal/virtual", "no make-believe in the binary that is shipped"},
		rule{"obu/cmd/obu", "github.com/mochi-mqtt", "no broker in the binary that is shipped"},
		rule{"obu/cmd/obu", "google.golang.org/protobuf/proto", "2 MB; protowire is enough"},
		rule{"obu/cmd/obu", "obu/uplink/brokertest", "test only"},
		rule{"obu/cmd/obu", "obu/buffer/crashdisk", "test only"},
		rule{"obu/cmd/obu", "github.com/gorilla/websocket", "0.5 MB with net/http: of paho only the packet codec is used"},
		rule{"obu/cmd/obu", "net/http", "0.5 MB that nothing needs"},
	)
	return rules
}

// doors names the packages that may import a driver library directly.
var doors = map[string][]string{
	"go.einride.tech/can":                 {"obu/can", "obu/internal/rig"},
	"github.com/adrianmo/go-nmea":         {"obu/gps"},
	"go.bug.st/serial":                    {"obu/gps"},
	"go.etcd.io/bbolt":                    {"obu/buffer"},
	"github.com/hanwen/go-fuse":           {"obu/buffer/crashdisk"},
	"github.com/eclipse/paho.mqtt.golang": {"obu/uplink"},
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func within(pkg, prefix string) bool { return pkg == prefix || strings.HasPrefix(pkg, prefix+"/") }

// TestLayersArrowsPointDown holds the house of docs/decisions/0000-house.md.
func TestLayersArrowsPointDown(t *testing.T) {
	packages := goList(t, "obu/...")
	for _, pkg := range packages {
		deps := goList(t, "-deps", pkg)
		for _, r := range layerRules() {
			if !within(pkg, r.pkg) || within(pkg, r.forbidden) {
				continue
			}
			if i := slices.IndexFunc(deps, func(d string) bool { return within(d, r.forbidden) }); i >= 0 {
				t.Errorf("%s depends on %s: %s", pkg, deps[i], r.why)
			}
		}
	}
}

// TestLayersOneDoorPerLibrary: a driver library is imported by its room alone,
// and paho by one file.
func TestLayersOneDoorPerLibrary(t *testing.T) {
	for _, line := range goList(t, "-f", "{{.ImportPath}}: {{join .Imports \" \"}}", "obu/...") {
		pkg, imports, _ := strings.Cut(line, ": ")
		for _, imp := range strings.Fields(imports) {
			for lib, rooms := range doors {
				if within(imp, lib) && !slices.ContainsFunc(rooms, func(room string) bool { return within(pkg, room) }) {
					t.Errorf("%s imports %s: only %v may", pkg, imp, rooms)
				}
			}
		}
	}
	files := goList(t, "-f", "{{range .GoFiles}}{{$.Dir}}/{{.}}\n{{end}}", "obu/uplink")
	out, err := exec.Command("grep", append([]string{"-lE", `"github.com/eclipse/paho.mqtt.golang(/packets)?"`}, files...)...).Output()
	if err != nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("paho must be imported by exactly one file of uplink, got %q (%v)", out, err)
	}
}
