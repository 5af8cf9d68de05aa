package dashcam_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/dashcam"
	"obu/internal/clock"
	"obu/telemetry"
)

func TestClipIsIdenticalToTheByte(t *testing.T) {
	r := newRig(t)
	want := map[string][]byte{
		"20260301_120100_EF.mp4":             movie(1, 12345, 60*time.Second),
		"20260301_120000_NF.mp4":             movie(2, 1, 59500*time.Millisecond),
		"Event/EV20260301-120200-000007.MP4": movie(3, 4000-120, time.Second),
		"Normal/Front/x.ts":                  []byte("not boxes at all"),
		"20260301_120100_EF.thm":             []byte("a companion"),
		".hidden.mp4":                        []byte("AppleDouble"),
		"empty.mp4":                          nil,
	}
	for name, data := range want {
		r.write(name, data)
	}
	r.pass()
	got := r.vault.all(t)
	if len(got) != 4 {
		t.Fatalf("%d clips in custody, want 4", len(got))
	}
	for name, data := range want {
		c, ok := got[filepath.Base(name)]
		if !ok {
			continue
		}
		if !bytes.Equal(r.vault.data(c), data) || c.SHA256 != sha256.Sum256(data) || c.SizeBytes != int64(len(data)) || c.Camera != "front" {
			t.Errorf("%s: bytes or manifest differ: %+v", name, c)
		}
	}
	c := got["20260301_120000_NF.mp4"]
	if c.Start != time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) || c.Length != 59500*time.Millisecond || c.Cause != dashcam.CauseNormal {
		t.Errorf("index %+v", c)
	}
	if c := got["EV20260301-120200-000007.MP4"]; c.Cause != dashcam.CauseEvent || c.Length != time.Second {
		t.Errorf("index %+v", c)
	}
	dated := slices.DeleteFunc(slices.Clone(r.vault.order), func(n string) bool { return n == "x.ts" })
	if !slices.Equal(dated, []string{"20260301_120000_NF.mp4", "20260301_120100_EF.mp4", "EV20260301-120200-000007.MP4"}) {
		t.Errorf("not oldest first: %v", r.vault.order)
	}
	st := r.src.Stats()
	if st.Clips != 4 || st.Waiting != 0 || st.Lost != 0 || st.Empty != 1 || st.LastName == "" || st.Bytes == 0 {
		t.Errorf("stats %+v", st)
	}
	r.renew()
	r.pass()
	if st := r.src.Stats(); st.Clips != 0 || st.Bytes != 0 {
		t.Errorf("a restart delivered again: %+v", st)
	}
	if len(r.lost()) != 0 {
		t.Errorf("gaps %+v", r.lost())
	}
}

// TestResumeAtEveryChunk stops the agent at every chunk, before and after it
// is durable, and also lets the disk fail there.
func TestResumeAtEveryChunk(t *testing.T) {
	data := movie(1, 7300, time.Second)
	chunks := (len(data) + 999) / 1000
	for n := range chunks {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := newRig(t)
			r.write("a.mp4", data)
			ctx, cancel := context.WithCancel(context.Background())
			r.vault.chunk = func(_ string, off int64) error {
				if off != int64(n*1000) {
					return nil
				}
				cancel()
				if n%2 == 0 {
					return ctx.Err() // not stored
				}
				return nil
			}
			if err := r.src.Run(ctx); err != nil {
				t.Fatal(err)
			}
			r.vault.chunk = nil
			r.renew()
			r.pass()
			c, ok := r.vault.all(t)["a.mp4"]
			if !ok || !bytes.Equal(r.vault.data(c), data) {
				t.Fatalf("clip %+v", c)
			}
			if st := r.src.Stats(); st.Bytes == int64(len(data)) && n > 0 {
				t.Error("began at the first byte again")
			}
		})
	}
}

func TestCustodyFailureIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settling)
		data := movie(1, 5000, time.Second)
		r.write("a.mp4", data)
		failures := 0
		r.vault.chunk = func(_ string, off int64) error {
			if off == 2000 && failures < 9 {
				failures++
				return errVault
			}
			return nil
		}
		began := time.Now()
		r.pass()
		c := r.vault.all(t)["a.mp4"]
		if failures != 9 || !bytes.Equal(r.vault.data(c), data) || r.src.Stats().Lost != 0 {
			t.Errorf("%d failures, clip %+v", failures, c)
		}
		if d := time.Since(began); d < 2*time.Minute || d > 20*time.Minute {
			t.Errorf("9 attempts took %v: the pause does not grow, or grows without bound", d)
		}
		r.logged("cannot store a clip", "disk full", "in=")
	})
}

// settling makes a rig wait as on a real camera; for synctest.
func settling(c *dashcam.Config) { c.AppearWhole, c.Clock = false, clock.Virtual() }

func TestGrowingFileIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settling)
		stop := r.start()
		data := movie(1, 60_000, time.Minute)
		path := r.write("a.mp4", data[:1])
		for n := 1; n < len(data); n += 1001 {
			time.Sleep(time.Second)
			if st := r.src.Stats(); st.Clips+st.Bytes != 0 {
				t.Fatalf("taken with %d of %d bytes written", n, len(data))
			}
			grow(t, path, data[n:min(n+1001, len(data))])
		}
		written := time.Now()
		<-r.vault.seen
		if d := time.Since(written); d < dashcam.DefaultSettle || d > 3*dashcam.DefaultSettle {
			t.Errorf("taken %v after the last write", d)
		}
		if c := r.vault.all(t)["a.mp4"]; !bytes.Equal(r.vault.data(c), data) || c.Cause != dashcam.CauseNormal || c.Length != time.Minute {
			t.Errorf("clip %+v", c)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if st := r.src.Stats(); st.Restarted != 0 || st.Lost != 0 || st.Incomplete != 0 || st.Waiting != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

func grow(t *testing.T, path string, more []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(more); err != nil {
		t.Fatal(err)
	}
}

// A camera that pauses longer than Settle, in the middle of a segment.
func TestPauseBeforeMoovIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settling)
		stop := r.start()
		data := movie(1, 5000, time.Second)
		path := r.write("a.mp4", data[:3000])
		time.Sleep(time.Minute)
		if st := r.src.Stats(); st.Bytes != 0 {
			t.Fatalf("a segment without its moov was taken after a minute: %+v", st)
		}
		grow(t, path, data[3000:])
		<-r.vault.seen
		if c := r.vault.all(t)["a.mp4"]; !bytes.Equal(r.vault.data(c), data) || c.Cause != dashcam.CauseNormal {
			t.Errorf("clip %+v", c)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestPowerCutInTheCameraIsDeliveredFlagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settling)
		data := movie(1, 5000, time.Second)[:4321]
		r.write("Event/20260301_120000_EF.mp4", data)
		began := time.Now()
		r.pass()
		c := r.vault.all(t)["20260301_120000_EF.mp4"]
		if !bytes.Equal(r.vault.data(c), data) || c.Cause != dashcam.CauseEvent+telemetry.CauseIncomplete || c.Length != 0 {
			t.Errorf("clip %+v", c)
		}
		if d := time.Since(began); d < dashcam.DefaultIncomplete || d > 2*dashcam.DefaultIncomplete {
			t.Errorf("taken after %v", d)
		}
		if st := r.src.Stats(); st.Incomplete != 1 || st.Clips != 1 {
			t.Errorf("stats %+v", st)
		}
		r.logged("never finished by the camera", "20260301_120000_EF.mp4")
	})
}

func TestEmptyFileIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settling)
		path := r.write("a.mp4", nil)
		stop := r.start()
		time.Sleep(10 * time.Minute)
		if st := r.src.Stats(); st.Empty != 1 || st.Clips != 0 || st.Lost != 0 {
			t.Errorf("stats %+v", st)
		}
		data := movie(1, 100, time.Second)
		grow(t, path, data) // it was only late
		<-r.vault.seen
		if err := stop(); err != nil {
			t.Error(err)
		}
		if c := r.vault.all(t)["a.mp4"]; !bytes.Equal(r.vault.data(c), data) {
			t.Errorf("clip %+v", c)
		}
		r.logged("segment is empty", "check the card", "a.mp4")
	})
}

// TestManyEmptyFilesAreSaidInAFewLines: the first are named, the others counted,
// and what goes on is said once per Rescan.
func TestManyEmptyFilesAreSaidInAFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settling)
		for i := range 3000 {
			r.write(fmt.Sprintf("%04d.mp4", i), nil)
		}
		stop := r.start()
		time.Sleep(10 * time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if st := r.src.Stats(); st.Empty != 3000 {
			t.Errorf("stats %+v", st)
		}
		if n := strings.Count(r.log.String(), "segment is empty"); n != 6 {
			t.Errorf("%d lines:\n%s", n, r.log)
		}
		r.logged("segment is empty", "0004.mp4")
		r.logged("segment is empty", "more_files=2995", "last=2999.mp4")
	})
}

// TestDottedFilesAreSaidOnce: a recording whose name begins with a dot is not
// taken; it is counted, and said once.
func TestDottedFilesAreSaidOnce(t *testing.T) {
	r := newRig(t)
	r.write(".a.mp4", movie(1, 10, time.Second))
	r.write("sub/._b.MP4", movie(2, 10, time.Second))
	r.write(".nothing", nil)
	r.write("c.mp4", movie(3, 10, time.Second))
	r.pass()
	r.pass()
	if st := r.src.Stats(); st.Hidden != 2 || st.Clips != 1 {
		t.Errorf("stats %+v", st)
	}
	r.logged("level=INFO", "begins with a dot", "files=2", "first=.a.mp4")
	if n := strings.Count(r.log.String(), "begins with a dot"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestDeletedBeforeCustodyIsListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settling)
		path := r.write("20260301_120000_NF.mp4", movie(1, 2500, time.Second))
		stop := r.start()
		time.Sleep(time.Second)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		gaps := r.lost()
		if len(gaps) != 1 || gaps[0].Reason != telemetry.ReasonClipLost || gaps[0].Source != "20260301_120000_NF.mp4" ||
			gaps[0].Class != telemetry.ClassMedia || gaps[0].Count != 3 || gaps[0].Boot != r.cfg.Clock.Boot() || gaps[0].To < gaps[0].From {
			t.Errorf("gaps %+v", gaps)
		}
		if st := r.src.Stats(); st.Lost != 1 || st.Waiting != 0 {
			t.Errorf("stats %+v", st)
		}
		r.logged("vanished before it was in custody", "enlarge its card")
	})
}

func TestDeletedWhileReadIsKept(t *testing.T) {
	r := newRig(t)
	data := movie(1, 5000, time.Second)
	path := r.write("a.mp4", data)
	r.vault.chunk = func(_ string, off int64) error {
		if off == 2000 {
			return os.Remove(path)
		}
		return nil
	}
	r.pass()
	if c := r.vault.all(t)["a.mp4"]; !bytes.Equal(r.vault.data(c), data) {
		t.Errorf("clip %+v", c)
	}
	if len(r.lost()) != 0 {
		t.Errorf("gaps %+v", r.lost())
	}
}

func TestDeletedBetweenRunsIsListed(t *testing.T) {
	r := newRig(t)
	path := r.write("a.mp4", movie(1, 5000, time.Second))
	ctx, cancel := context.WithCancel(context.Background())
	r.vault.chunk = func(_ string, off int64) error {
		if off == 2000 {
			cancel()
		}
		return nil
	}
	if err := r.src.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.pass()
	if gaps := r.lost(); len(gaps) != 1 || gaps[0].Count != 3 {
		t.Errorf("gaps %+v, want one of 3 chunks", gaps)
	}
}

func TestRenamedIsOneClip(t *testing.T) {
	first, second := movie(1, 3000, time.Second), movie(2, 3000, time.Second)
	t.Run("between index and read", func(t *testing.T) {
		r := newRig(t)
		r.write("20260301_120000_NF.mp4", first)
		path := r.write("20260301_120100_NF.mp4", second)
		r.vault.chunk = func(_ string, off int64) error {
			r.vault.chunk = nil
			return os.Rename(path, filepath.Join(r.dir, "20260301_120100_EF.mp4"))
		}
		r.pass()
		got := r.vault.all(t)
		if c, ok := got["20260301_120100_EF.mp4"]; len(got) != 2 || !ok || c.Cause != dashcam.CauseEvent {
			t.Errorf("clips %+v", got)
		}
		if len(r.lost()) != 0 {
			t.Errorf("gaps %+v", r.lost())
		}
	})
	t.Run("while read", func(t *testing.T) {
		r := newRig(t)
		path := r.write("a.mp4", first)
		r.vault.chunk = func(_ string, off int64) error {
			r.vault.chunk = nil
			return os.Rename(path, filepath.Join(r.dir, "b.mp4"))
		}
		r.pass()
		if got := r.vault.all(t); len(got) != 1 || len(r.lost()) != 0 || r.src.Stats().Waiting != 0 {
			t.Errorf("clips %+v, gaps %+v", got, r.lost())
		}
	})
	t.Run("after custody", func(t *testing.T) {
		r := newRig(t)
		path := r.write("a.mp4", first)
		r.pass()
		if err := os.Mkdir(filepath.Join(r.dir, "Event"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, filepath.Join(r.dir, "Event", "b.mp4")); err != nil {
			t.Fatal(err)
		}
		r.pass()
		r.renew()
		r.pass()
		if got := r.vault.all(t); len(got) != 1 || len(r.lost()) != 0 {
			t.Errorf("clips %+v, gaps %+v", got, r.lost())
		}
	})
}

func TestChangedWhileRead(t *testing.T) {
	data := movie(1, 5000, time.Second)
	longer := append(bytes.Clone(data), box("free", make([]byte, 700))...)
	t.Run("grown", func(t *testing.T) {
		r := newRig(t)
		path := r.write("a.mp4", data)
		r.vault.chunk = func(_ string, off int64) error {
			if off == 3000 {
				r.vault.chunk = nil
				grow(t, path, longer[len(data):])
			}
			return nil
		}
		r.pass()
		if c := r.vault.all(t)["a.mp4"]; !bytes.Equal(r.vault.data(c), longer) {
			t.Errorf("clip %+v", c)
		}
		if st := r.src.Stats(); st.Restarted != 1 || st.Lost != 0 || len(r.lost()) != 0 {
			t.Errorf("stats %+v", st)
		}
		r.logged("changed while it was read", "dashcam.settle")
	})
	t.Run("cut short", func(t *testing.T) {
		r := newRig(t)
		path := r.write("a.mp4", data)
		r.vault.chunk = func(_ string, off int64) error {
			if off == 3000 {
				r.vault.chunk = nil
				return os.Truncate(path, 3500)
			}
			return nil
		}
		r.pass()
		if c := r.vault.all(t)["a.mp4"]; !bytes.Equal(r.vault.data(c), data[:3500]) || c.Cause != dashcam.CauseNormal+telemetry.CauseIncomplete {
			t.Errorf("clip %+v", c)
		}
		if gaps := r.lost(); len(gaps) != 1 || gaps[0].Source != "a.mp4" || r.src.Stats().Lost != 1 {
			t.Errorf("gaps %+v", gaps)
		}
	})
	t.Run("overwritten", func(t *testing.T) {
		r := newRig(t)
		path := r.write("a.mp4", data)
		other := movie(2, 5000, time.Second)
		r.vault.chunk = func(_ string, off int64) error {
			if off == 3000 {
				r.vault.chunk = nil
				if err := os.WriteFile(path, other, 0); err != nil {
					return err
				}
				return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour))
			}
			return nil
		}
		r.pass()
		if c := r.vault.all(t)["a.mp4"]; !bytes.Equal(r.vault.data(c), other) {
			t.Errorf("clip %+v", c)
		}
	})
}

func TestFolderGoneIsNotDeletion(t *testing.T) {
	r := newRig(t, func(c *dashcam.Config) { c.Dir = filepath.Join(c.Dir, "card") })
	r.dir = r.cfg.Dir
	if err := r.src.Run(t.Context()); !errors.Is(err, dashcam.ErrNoFolder) {
		t.Fatalf("no folder: %v", err)
	}
	data := movie(1, 3000, time.Second)
	r.write("a.mp4", data)
	away := r.dir + ".away"
	r.vault.chunk = func(_ string, off int64) error { // the card is pulled, the disk full: nothing goes on
		r.vault.chunk = func(string, int64) error { return nil }
		if err := os.Rename(r.dir, away); err != nil {
			return err
		}
		return errors.Join(os.Mkdir(r.dir, 0o755), errVault)
	}
	if err := r.src.Run(t.Context()); !errors.Is(err, dashcam.ErrNoFolder) {
		t.Fatalf("another folder in its place: %v", err)
	}
	r.pass() // the empty mount point
	if st := r.src.Stats(); st.Lost != 0 || len(r.lost()) != 0 || st.Waiting != 1 {
		t.Errorf("files away count as lost: %+v", st)
	}
	if err := os.Remove(r.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, r.dir); err != nil {
		t.Fatal(err)
	}
	r.pass()
	if c := r.vault.all(t)["a.mp4"]; !bytes.Equal(r.vault.data(c), data) {
		t.Errorf("clip %+v", c)
	}
}

func TestTooDeepIsSaid(t *testing.T) {
	r := newRig(t)
	r.write("a/b/c/near.mp4", movie(1, 10, time.Second))
	r.write("a/b/c/d/far.mp4", movie(2, 10, time.Second))
	r.pass()
	if got := r.vault.all(t); len(got) != 1 {
		t.Errorf("clips %+v", got)
	}
	r.logged("nested too deeply", "a/b/c/d", "dashcam.dir")
}

func TestDrainEndsWithRun(t *testing.T) {
	r := newRig(t, func(c *dashcam.Config) { c.Dir = filepath.Join(c.Dir, "none") })
	res := make(chan error)
	go func() { res <- r.src.Drain(context.Background()) }()
	if err := r.src.Run(t.Context()); !errors.Is(err, dashcam.ErrNoFolder) {
		t.Fatal(err)
	}
	// Whether Drain began before or after, nobody would ever answer it.
	if err := <-res; !errors.Is(err, dashcam.ErrStopped) {
		t.Errorf("drain of a missing folder: %v", err)
	}
	r.cfg.Dir = t.TempDir()
	r.renew()
	r.pass()
	r.pass() // a second Run is waited for again
}

// TestInotifyWakes would wait an hour for the periodic look.
func TestInotifyWakes(t *testing.T) {
	r := newRig(t, func(c *dashcam.Config) {
		c.Poll, c.AppearWhole, c.Settle, c.Rescan = false, false, time.Millisecond, time.Hour
	})
	stop := r.start()
	r.write("a.mp4", movie(1, 10, time.Second))
	<-r.vault.seen
	r.write("Normal/Front/b.mp4", movie(2, 10, time.Second))
	<-r.vault.seen
	if err := os.WriteFile(filepath.Join(r.dir, "Normal", "c.tmp"), movie(3, 10, time.Second), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(r.dir, "Normal", "c.tmp"), filepath.Join(r.dir, "Normal", "c.mp4")); err != nil {
		t.Fatal(err)
	}
	<-r.vault.seen
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	good := dashcam.Config{Dir: "x", Clock: clock.Virtual(), Custody: newVault()}
	if _, err := dashcam.New(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]func(*dashcam.Config){
		"dir":     func(c *dashcam.Config) { c.Dir = "" },
		"custody": func(c *dashcam.Config) { c.Custody = nil },
		"clock":   func(c *dashcam.Config) { c.Clock = nil },
		"settle":  func(c *dashcam.Config) { c.Settle = -1 },
		"chunk":   func(c *dashcam.Config) { c.ChunkBytes = dashcam.MaxChunkBytes + 1 },
	} {
		c := good
		bad(&c)
		if _, err := dashcam.New(c); !errors.Is(err, dashcam.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
