package telemetry_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"obu/telemetry"
)

// TestProtobufRuntimeAgrees reads what the hand-written encoder wrote with the
// protobuf runtime and telemetry.proto, field by field, and the other way
// round: what the runtime writes again decodes to the same envelope.
func TestProtobufRuntimeAgrees(t *testing.T) {
	file := contract(t)
	for seed := range uint64(200) {
		for format := 1; format <= telemetry.Format; format++ {
			e := randomEnvelope(rand.New(rand.NewPCG(seed, 3)))
			p, err := telemetry.EncodeEnvelopeFormat(&e, format)
			if err != nil {
				t.Fatal(err)
			}
			m := message(t, file, "Envelope", p)
			checkHeader(t, m, &e, format)
			field := map[int]string{1: "body", 2: "rest"}[format]
			body := m.get(field).Bytes()
			if m.get("compression").Enum() == 1 {
				body = inflate(t, body)
			}
			b := message(t, file, "Body", body)
			if format == 1 {
				checkBody(t, b, &e)
			} else {
				checkRest(t, b, &e)
			}
			again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.Interface())
			if err != nil {
				t.Fatal(err)
			}
			got, err := telemetry.DecodeEnvelope(again)
			if err != nil {
				t.Fatalf("seed %d: decode what the runtime wrote: %v", seed, err)
			}
			if diff := diffEnvelopes(e, got); diff != "" {
				t.Fatalf("seed %d: what the runtime wrote: %s", seed, diff)
			}
		}
	}
}

func checkHeader(t *testing.T, m fields, e *telemetry.Envelope, format int) {
	t.Helper()
	wall := int64(0)
	if !e.SentWall.IsZero() {
		wall = e.SentWall.UnixMilli()
	}
	var seqs []uint64
	var next uint64
	for i := 0; i+1 < m.get("seqs").List().Len(); i += 2 {
		next += m.get("seqs").List().Get(i).Uint()
		for range m.get("seqs").List().Get(i + 1).Uint() {
			seqs = append(seqs, next)
			next++
		}
	}
	for i, b := range e.Batches {
		if seqs[i] != b.Seq {
			t.Fatalf("seq %d is %d, want %d", i, seqs[i], b.Seq)
		}
		values := m.get("values").List()
		if values.Len() == 0 && format > 1 { // the columns say it
			continue
		}
		if n := values.Get(min(i, values.Len()-1)).Uint(); n != uint64(b.Values()) {
			t.Fatalf("values %d is %d, want %d", i, n, b.Values())
		}
	}
	part := telemetry.Part{}
	if e.Part != nil {
		part = *e.Part
	}
	p := fields{m.get("part").Message()}
	got := fmt.Sprintln(m.get("format"), m.get("unit"), m.get("vehicle"), id(m, "store", 8), m.get("class").Enum(), id(m, "boot", 16),
		m.get("simulated"), m.get("history"), m.get("volatile"), m.get("floor"), m.get("next"), p.get("index"), p.get("of"),
		m.get("sent_at_ms"), m.get("sent_wall_ms"), len(seqs))
	floor, next := e.Floor, e.Next
	if n := len(e.Batches); format > 1 && n > 0 {
		floor, next = e.Batches[0].Seq-floor, next-e.Batches[n-1].Seq-1
	} else if format > 1 {
		floor, next = -floor, next-1
	}
	want := fmt.Sprintln(format, e.Unit, e.Vehicle, e.Store, protoreflect.EnumNumber(e.Class), e.Boot, e.Simulated, e.History, e.Volatile, floor, next, part.Index, part.Of,
		int64(e.SentAt.Round())/1e6, wall, len(e.Batches))
	if got != want {
		t.Fatalf("header %s, want %s", got, want)
	}
}

// checkRest looks at what lies beside the columns of format 2: no columns, and
// every record.
func checkRest(t *testing.T, m fields, e *telemetry.Envelope) {
	t.Helper()
	for _, name := range []string{"sources", "number", "source", "clock", "form", "states", "receivers"} {
		if n := m.get(name).List().Len(); n > 0 {
			t.Fatalf("%d %s beside the columns", n, name)
		}
	}
	want := [4]int{}
	for _, b := range e.Batches {
		want[0] += len(b.Gaps)
		want[1] += len(b.Anchors)
		want[2] += len(b.Clips)
		want[3] += len(b.Chunks)
	}
	for i, name := range []string{"gaps", "anchors", "clips", "chunks"} {
		if n := m.get(name).List().Len(); n != want[i] {
			t.Fatalf("%d %s, want %d", n, name, want[i])
		}
	}
}

// checkBody compares what the runtime can see of the columns.
func checkBody(t *testing.T, m fields, e *telemetry.Envelope) {
	t.Helper()
	want := make(map[string]bool)
	samples, gaps, receivers := 0, 0, make(map[string]bool)
	for _, b := range e.Batches {
		for _, s := range b.Samples {
			want[s.Signal.Name+" "+s.Source.String()] = true
			samples++
		}
		for _, f := range b.Fixes {
			receivers[f.Receiver] = true
		}
		gaps += len(b.Gaps)
	}
	numbers, sources := m.get("number").List(), m.get("source").List()
	if numbers.Len() != len(want) || m.get("receivers").List().Len() != len(receivers) || m.get("gaps").List().Len() != gaps {
		t.Fatalf("%d columns, %d receivers, %d gaps, want %d, %d, %d", numbers.Len(), m.get("receivers").List().Len(), m.get("gaps").List().Len(),
			len(want), len(receivers), gaps)
	}
	for i := range numbers.Len() {
		n := numbers.Get(i).Uint()
		name := ""
		if n >= 4096 {
			name = fields{m.get("signals").List().Get(int(n - 4096)).Message()}.get("name").String()
		} else if s, ok := telemetry.LookupID(uint32(n)); ok {
			name = s.Name
		}
		at := 0
		if sources.Len() > 0 {
			at = int(sources.Get(min(i, sources.Len()-1)).Uint())
		}
		s := fields{m.get("sources").List().Get(at).Message()}
		key := name + " " + telemetry.Source{Bus: s.get("bus").String(), Address: s.get("address").String(), Method: s.get("method").String()}.String()
		if !want[key] {
			t.Fatalf("column %d is %q, which nobody sent", i, key)
		}
		delete(want, key)
	}
}

// TestNewerMinorVersion adds fields nobody knows, everywhere.
func TestNewerMinorVersion(t *testing.T) {
	e := randomEnvelope(rand.New(rand.NewPCG(5, 4)))
	p, err := telemetry.EncodeEnvelope(&e)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []protowire.Number{30, 99, 1 << 20} {
		p = protowire.AppendTag(p, field, protowire.BytesType)
		p = protowire.AppendString(p, "from the future")
		p = protowire.AppendTag(p, field+1, protowire.Fixed32Type)
		p = protowire.AppendFixed32(p, 7)
		p = protowire.AppendTag(p, field+2, protowire.StartGroupType)
		p = protowire.AppendTag(p, field+2, protowire.EndGroupType)
	}
	got, err := telemetry.DecodeEnvelope(p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffEnvelopes(e, got); diff != "" {
		t.Fatal(diff)
	}
}

// fields reads a message of the contract by field name.
type fields struct{ protoreflect.Message }

func (m fields) get(name string) protoreflect.Value {
	f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if f == nil {
		panic("telemetry.proto has no field " + name)
	}
	return m.Get(f)
}

func id(m fields, name string, n int) string {
	b := m.get(name).Bytes()
	if len(b) == 0 {
		b = make([]byte, n)
	}
	return fmt.Sprintf("%x", b)
}

// message reads bytes as a message of the contract; nothing may stay unknown.
func message(t *testing.T, file protoreflect.FileDescriptor, name string, p []byte) fields {
	t.Helper()
	m := dynamicpb.NewMessage(file.Messages().ByName(protoreflect.Name(name)))
	if err := proto.Unmarshal(p, m); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	noUnknown(t, m)
	return fields{m}
}

func noUnknown(t *testing.T, m protoreflect.Message) {
	t.Helper()
	if len(m.GetUnknown()) > 0 {
		t.Fatalf("%s has fields that telemetry.proto does not: %x", m.Descriptor().Name(), m.GetUnknown())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				noUnknown(t, v.List().Get(i).Message())
			}
		case f.Message() != nil:
			noUnknown(t, v.Message())
		}
		return true
	})
}

func inflate(t *testing.T, p []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out, err := d.DecodeAll(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	protoBlock = regexp.MustCompile(`(?ms)^(message|enum) (\w+) \{\n(.*?)^\}`)
	protoField = regexp.MustCompile(`(?m)^  (optional |repeated )?(\w+) (\w+) = (\d+);`)
	protoValue = regexp.MustCompile(`(?m)^  (\w+) = (\d+);`)
)

// contract builds the descriptor of telemetry.proto from its text. It knows as
// much of the language as that file uses: flat messages and enums.
func contract(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	text, err := os.ReadFile("telemetry.proto")
	if err != nil {
		t.Fatal(err)
	}
	const pkg = "obu.telemetry.v1"
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("telemetry.proto"), Package: proto.String(pkg), Syntax: proto.String("proto3")}
	blocks := protoBlock.FindAllStringSubmatch(string(text), -1)
	isEnum := make(map[string]bool)
	for _, b := range blocks {
		isEnum[b[2]] = b[1] == "enum"
	}
	if n := strings.Count(string(text), "\n}"); n != len(blocks) {
		t.Fatalf("telemetry.proto has %d blocks, the test reads %d", n, len(blocks))
	}
	for _, b := range blocks {
		if isEnum[b[2]] {
			file.EnumType = append(file.EnumType, enumOf(t, b[2], b[3]))
		} else {
			file.MessageType = append(file.MessageType, messageOf(t, pkg, b[2], b[3], isEnum))
		}
	}
	fd, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func enumOf(t *testing.T, name, text string) *descriptorpb.EnumDescriptorProto {
	e := &descriptorpb.EnumDescriptorProto{Name: proto.String(name)}
	for _, v := range protoValue.FindAllStringSubmatch(text, -1) {
		e.Value = append(e.Value, &descriptorpb.EnumValueDescriptorProto{Name: proto.String(v[1]), Number: proto.Int32(int32(atoi(t, v[2])))})
	}
	return e
}

func messageOf(t *testing.T, pkg, name, text string, isEnum map[string]bool) *descriptorpb.DescriptorProto {
	types := map[string]descriptorpb.FieldDescriptorProto_Type{
		"uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32, "uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64,
		"sint64": descriptorpb.FieldDescriptorProto_TYPE_SINT64, "bool": descriptorpb.FieldDescriptorProto_TYPE_BOOL,
		"string": descriptorpb.FieldDescriptorProto_TYPE_STRING, "bytes": descriptorpb.FieldDescriptorProto_TYPE_BYTES,
		"double": descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
	}
	m := &descriptorpb.DescriptorProto{Name: proto.String(name)}
	found := protoField.FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, ";\n"); n < len(found) {
		t.Fatalf("message %s: %d fields read of %d", name, len(found), n)
	}
	for _, f := range found {
		fd := &descriptorpb.FieldDescriptorProto{Name: proto.String(f[3]), Number: proto.Int32(int32(atoi(t, f[4]))),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if typ, ok := types[f[2]]; ok {
			fd.Type = typ.Enum()
		} else {
			fd.TypeName = proto.String("." + pkg + "." + f[2])
			fd.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
			if isEnum[f[2]] {
				fd.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
			}
		}
		switch f[1] {
		case "repeated ":
			fd.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		case "optional ":
			fd.Proto3Optional = proto.Bool(true)
			fd.OneofIndex = proto.Int32(int32(len(m.OneofDecl)))
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: proto.String("_" + f[3])})
		}
		m.Field = append(m.Field, fd)
	}
	return m
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
