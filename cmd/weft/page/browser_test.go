package page_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/png"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"weft/examples/lab/labtest"
	"weft/state/status"
)

// browser is a headless Chromium.
type browser struct {
	t     *testing.T
	ctx   context.Context
	site  string
	shots string

	mu   sync.Mutex
	said []string
}

func openBrowser(t *testing.T, site string) *browser {
	t.Helper()
	program := labtest.RequireTool(t, "chromium")
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.Headless, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, site: site, shots: os.Getenv("WEFT_SCREENSHOTS")}
	if b.shots == "" {
		b.shots = t.TempDir()
	}
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

// hear notes what the browser complains of, and what it fetches from elsewhere.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.said = append(b.said, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.site) {
			b.said = append(b.said, "fetched "+e.Request.URL)
		}
	}
}

// silent fails the test if the browser complained, or fetched from elsewhere.
func (b *browser) silent() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) > 0 {
		b.t.Errorf("the browser says: %q", b.said)
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func call[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// ask runs what has an answer.
func ask[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	answer, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer
}

func (b *browser) screen(width, height int64, scheme string) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// TestLooks opens each page on a laptop and on a phone, in light and in dark: it
// fits, every text can be read against what is behind it, and nothing comes from
// elsewhere. WEFT_SCREENSHOTS names a folder that keeps what it looks like.
func TestLooks(t *testing.T) {
	server := httptest.NewServer(newHandler(t, lively(t, "")))
	defer server.Close()
	b := openBrowser(t, server.URL)
	pages := map[string]string{
		"home": "/", "port": "/port?id=shop%2Fweb-000%3Ahttp&protocol=tcp", "rules": "/rules", "template": "/template?file=_service.nft.tmpl", "transaction": "/transaction?id=2",
	}
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"laptop", 1280, 800}, {"phone", 390, 844}} {
		for _, scheme := range []string{"light", "dark"} {
			b.screen(screen.width, screen.height, scheme)
			for name, path := range pages {
				where := fmt.Sprintf("%s-%s-%s", name, screen.name, scheme)
				b.do(chromedp.Navigate(server.URL+path), chromedp.WaitVisible(chromedp.CSS("main")))
				b.keep(where, ask(b, chromedp.FullScreenshot(100)), scheme)
				if wide := ask(b, chromedp.Evaluate[int64]("document.documentElement.scrollWidth")); wide > screen.width {
					t.Errorf("%s: %d pixels wide", where, wide)
				}
				for _, poor := range ask(b, chromedp.Evaluate[[]string](contrast)) {
					t.Errorf("%s: hard to read: %s", where, poor)
				}
			}
		}
	}
	b.silent()
}

// keep writes a screenshot, which must not be empty, and must be light or dark.
func (b *browser) keep(name string, shot []byte, scheme string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), shot, 0o644); err != nil {
		b.t.Fatal(err)
	}
	picture, _, err := image.Decode(bytes.NewReader(shot))
	if err != nil {
		b.t.Fatal(err)
	}
	bounds, seen, sum := picture.Bounds(), map[color.Color]bool{}, 0
	for y := 0; y < bounds.Dy(); y += 7 {
		for x := 0; x < bounds.Dx(); x += 7 {
			c := picture.At(x, y)
			seen[c] = true
			r, g, bl, _ := c.RGBA()
			sum += int(r+g+bl) / 3 >> 8
		}
	}
	mean := sum / (bounds.Dy()/7 + 1) / (bounds.Dx()/7 + 1)
	if len(seen) < 20 || (mean < 128) != (scheme == "dark") {
		b.t.Errorf("%s: %d colors, mean brightness %d", name, len(seen), mean)
	}
}

// contrast lists texts whose contrast with what is behind them is below that of
// WCAG 2.2, success criterion 1.4.3: 4.5, or 3 for large text.
const contrast = `(() => {
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest("svg, script, .skip")) continue;
    const style = getComputedStyle(e);
    const [a, b] = [luminance(parse(style.color)), luminance(behind(e))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) poor.add(e.tagName + "." + e.className + " " + ratio.toFixed(2) + " " + walk.currentNode.data.trim().slice(0, 30));
  }
  return [...poor];
})()`

// TestFollows changes the agent while the page is open.
func TestFollows(t *testing.T) {
	s := lively(t, "")
	server := httptest.NewServer(newHandler(t, s))
	defer server.Close()
	b := openBrowser(t, server.URL)
	b.screen(1280, 800, "light")
	b.do(chromedp.Navigate(server.URL), chromedp.WaitVisible(chromedp.ID("follow")), chromedp.Click(chromedp.CSS("#skipped-0 summary")))
	s.recorder.Failed(status.Templates, errors.New("_service.nft.tmpl:1: missing value for if"))
	ask(b, chromedp.Poll[bool](`document.querySelector("h1").textContent === "Not healthy"`, chromedp.WithPollingTimeout(30*time.Second)))
	if text := ask(b, chromedp.Text(chromedp.CSS(".reasons"))); !strings.Contains(text, "missing value for if") {
		t.Errorf("the reason is %q", text)
	}
	if !ask(b, chromedp.Evaluate[bool](`document.querySelector("#skipped-0").open`)) {
		t.Error("what the reader opened was closed")
	}
	b.do(chromedp.Click(chromedp.ID("follow")))
	if text := ask(b, chromedp.Text(chromedp.ID("follow"))); text != "Stopped" {
		t.Errorf("the button says %q", text)
	}
	b.do(chromedp.SendKeys(chromedp.ID("q"), "web-007\r"), chromedp.WaitVisible(chromedp.CSS(`.search a[href="/#ports"]`)))
	if n := ask(b, chromedp.Evaluate[int](`document.querySelectorAll(".ports > li").length`)); n != 1 {
		t.Errorf("the search finds %d, want 1", n)
	}
	b.do(chromedp.Click(chromedp.CSS(".ports .name")), chromedp.WaitVisible(chromedp.CSS(".listing")))
	b.do(chromedp.Click(chromedp.CSS(".listing td:nth-child(2) a")), chromedp.WaitVisible(chromedp.CSS("tr:target")))
	if text := ask(b, chromedp.Text(chromedp.CSS("tr:target"))); !strings.Contains(text, "{{") {
		t.Errorf("the line of the template is %q", text)
	}
	b.silent()
}

// TestWithoutScript reads and searches without JavaScript.
func TestWithoutScript(t *testing.T) {
	server := httptest.NewServer(newHandler(t, lively(t, "")))
	defer server.Close()
	b := openBrowser(t, server.URL)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(chromedp.Navigate(server.URL), chromedp.SendKeys(chromedp.ID("q"), "tcp/30007\r"), chromedp.WaitVisible(chromedp.CSS(`.search a[href="/#ports"]`)))
	text := ask(b, chromedp.TextContent(chromedp.CSS("main")))
	for _, want := range []string{"Healthy", "shop/web-007:http", "Nodes"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(text, "web-008") {
		t.Error("the search finds what was not searched")
	}
}
