package brokertest_test

import (
	"io"
	"net"
	"testing"
	"time"

	"obu/uplink/brokertest"
)

// sink accepts connections, says hello and counts what comes.
func sink(t *testing.T) (address string, got chan int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got = make(chan int64, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = c.Write([]byte("hello"))
				n, _ := io.Copy(io.Discard, c)
				got <- n
				c.Close()
			}()
		}
	}()
	return l.Addr().String(), got
}

// TestProxyCarriesCutsAndSwallows: a link carries all that is sent, at no more
// than its rate and not before its delay; it can be cut, and go half-open.
func TestProxyCarriesCutsAndSwallows(t *testing.T) {
	address, got := sink(t)
	p, err := brokertest.NewProxy(address, brokertest.Link{Up: 200_000, Delay: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	began := time.Now() // before the dial: the broker speaks as soon as it is connected
	c := dial()
	if n, err := io.ReadFull(c, make([]byte, 5)); n != 5 || time.Since(began) < 50*time.Millisecond {
		t.Errorf("%d bytes after %v, %v", n, time.Since(began), err)
	}
	began = time.Now()
	_, _ = c.Write(make([]byte, 100_000))
	c.Close()
	if n := <-got; n != 100_000 {
		t.Errorf("%d of 100,000 bytes arrived", n)
	}
	took := time.Since(began)
	t.Logf("100,000 bytes at 200,000 B/s took %v", took)
	if took < 500*time.Millisecond {
		t.Errorf("faster than the link: %v", took)
	}
	if up, down := p.Bytes(); up != 100_000 || down != 5 || len(p.Answers()) != 1 {
		t.Errorf("counted %d up, %d down, %d answers", up, down, len(p.Answers()))
	}

	c = dial()
	_, _ = io.ReadFull(c, make([]byte, 5))
	p.HalfOpen()
	_, _ = c.Write(make([]byte, 1000))
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("a half-open link says %v", err)
	}
	p.Cut()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a cut link delivers")
	}
	if n := <-got; n != 0 {
		t.Errorf("%d bytes crossed a half-open link", n)
	}
	c = dial()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("connected over a cut link")
	}
	p.Restore()
	c = dial()
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Errorf("not restored: %v", err)
	}
}
