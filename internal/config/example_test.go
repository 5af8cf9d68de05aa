package config_test

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"obu/internal/config"
)

var update = flag.Bool("update", false, "write example.yaml anew from the doc comments of the settings")

const exampleHead = `# The configuration of one unit. Lines that begin with # are explanations; a
# setting behind a # without a space is not set, and what it shows is an example.
# The files of obu.yaml.d/*.yaml beside this one are merged over it in name order.
# ${NAME} in a value is replaced by the environment variable NAME.
`

// fieldDocs returns the doc comment of each field, by Type.Field.
func fieldDocs(t *testing.T) map[string][]string {
	docs := map[string][]string{}
	for _, name := range [...]string{"config.go", "bus.go", "ecu.go", "keep.go", "gps.go", "motion.go", "uplink.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		addDocs(docs, f)
	}
	return docs
}

func addDocs(docs map[string][]string, f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		ts, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		st, ok := ts.Type.(*ast.StructType)
		if !ok {
			return false
		}
		for _, field := range st.Fields.List {
			for _, name := range field.Names {
				if text := strings.TrimSpace(field.Doc.Text()); text != "" {
					docs[ts.Name.Name+"."+name.Name] = strings.Split(text, "\n")
				}
			}
		}
		return false
	})
}

// writeExample renders a struct type as the example shows it.
func writeExample(b *strings.Builder, docs map[string][]string, typ reflect.Type, indent string, off bool) {
	dash := strings.HasSuffix(indent, "- ")
	plain := strings.Repeat(" ", len(indent))
	first := true
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, ok := f.Tag.Lookup("key")
		if !ok {
			continue
		}
		ft := f.Type
		list := ft.Kind() == reflect.Slice
		if list || ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		section := ft.Kind() == reflect.Struct && f.Tag.Get("example") == ""
		value := f.Tag.Get("default")
		unset := off || !section && value == "" && f.Tag.Get("required") == "" && key != "unit" || f.Type == reflect.TypeFor[*config.TLS]() || f.Type == reflect.TypeFor[*config.Curvelog]() || f.Type == reflect.TypeFor[*config.Track]() || f.Type == reflect.TypeFor[*config.Geofence]() || f.Type == reflect.TypeFor[[]config.ECU]()
		if value == "" {
			value = f.Tag.Get("example")
		}
		lead := plain
		if first && dash {
			lead = indent
		}
		comment := plain
		if first && dash {
			comment = plain[:len(plain)-2]
		}
		if unset {
			lead = plain + "#"
			if first && dash {
				lead = plain[:len(plain)-2] + "#- "
			}
		}
		if indent == "" {
			b.WriteString("\n")
		}
		for _, line := range docs[typ.Name()+"."+f.Name] {
			b.WriteString(comment + "# " + line + "\n")
		}
		b.WriteString(lead + key + ":")
		if section {
			b.WriteString("\n")
			under := plain + "  "
			if list {
				under += "- "
			}
			writeExample(b, docs, ft, under, unset)
		} else {
			b.WriteString(" " + value + "\n")
		}
		first = false
	}
}

// TestExampleIsWrittenFromTheDocComments keeps the two from drifting apart:
// go test ./internal/config -run Example -update
func TestExampleIsWrittenFromTheDocComments(t *testing.T) {
	docs := fieldDocs(t)
	var b strings.Builder
	b.WriteString(exampleHead)
	writeExample(&b, docs, reflect.TypeFor[config.Config](), "", false)
	if *update {
		if err := os.WriteFile("example.yaml", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if b.String() != config.Example() {
		t.Errorf("example.yaml is out of date; write it anew with -update:\n%s", b.String())
	}
}

func TestExampleLoads(t *testing.T) {
	got, err := config.Parse("example.yaml", []byte(config.Example()), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Unit = "unit-0001"
	want.CAN = []config.CAN{{Device: "can0", J1939: config.J1939{Period: second}, OBD: config.OBD{Enabled: true, Period: second, Addressing: "auto", MaxRequestsPerSecond: 20,
		PIDsPerRequest: 6, DTC: true, DTCEvery: 60 * second, FreezeFrame: true, VehicleInfo: true}}}
	want.Signals = []config.Signal{{Path: "Engine.*", Keep: true}}
	want.GPS = &config.GPS{Device: "/dev/ttyUSB0", Baud: 9600, Name: "gps", PPSEdge: "auto"}
	want.Dashcam = []config.Dashcam{{Camera: "front", Dir: "/media/dashcam/front", Settle: 5 * second}}
	want.Uplink.Broker = "mqtts://broker.example.com:8883"
	wantSame(t, got, &want)
}

// TestExampleWithEverythingSet loads the example with each setting switched
// on, so that no example is itself a mistake: but a curve, and in its place the
// words it does not go with.
func TestExampleWithEverythingSet(t *testing.T) {
	var lines []string
	for line := range strings.SplitSeq(config.Example(), "\n") {
		body := strings.TrimLeft(line, " ")
		if strings.HasPrefix(body, "#") && !strings.HasPrefix(body, "# ") && body != "#" {
			line = line[:len(line)-len(body)] + body[1:]
		}
		switch strings.TrimSpace(line) {
		case "timebased: 10s", "change: 0.5":
			continue
		}
		lines = append(lines, line)
	}
	env := map[string]string{"OBU_PASSWORD": "secret"}
	c, err := config.Parse("example.yaml", []byte(strings.Join(lines, "\n")), func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	if c.Uplink.Password != "secret" || c.Uplink.TLS == nil || c.Uplink.TLS.Key == "" || len(c.CAN[0].OBD.PIDs) != 3 || c.CAN[0].OBD.PIDs[2].Period != 30*second {
		t.Errorf("%+v", c)
	}
}
