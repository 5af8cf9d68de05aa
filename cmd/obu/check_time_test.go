package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"obu/internal/config"
	"obu/uplink/brokertest"
)

// TestCheckVerifiesAtTheTimeTheAgentBelieves: a certificate that is not valid
// yet by the system's clock, but is by the last good time, is taken by obu
// check as it is by the agent.
func TestCheckVerifiesAtTheTimeTheAgentBelieves(t *testing.T) {
	dir := t.TempDir()
	lastGood := time.Date(2099, 6, 1, 0, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: lastGood.AddDate(-1, 0, 0), NotAfter: lastGood.AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	b := brokertest.New()
	var serving sync.WaitGroup
	serving.Go(func() { _ = b.Serve(l) })
	t.Cleanup(func() { l.Close(); b.Close(); serving.Wait() })
	cfg := config.Default()
	cfg.Unit, cfg.Buffer.Dir = "unit-7", dir
	cfg.Uplink.Broker, cfg.Uplink.TLS = "mqtts://"+l.Addr().String(), &config.TLS{CA: ca}
	if f := checkBroker(t.Context(), &cfg, "unit-7"); f.OK {
		t.Fatalf("a certificate of 2098 is valid today: %+v", f)
	}
	if err := os.WriteFile(filepath.Join(dir, "last-good-time"), []byte(lastGood.Format(time.RFC3339)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := checkBroker(t.Context(), &cfg, "unit-7"); !f.OK {
		t.Errorf("the agent would connect, and the check says %+v", f)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("the check left something behind: %v", files)
	}
}
