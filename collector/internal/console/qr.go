package console

import (
	"fmt"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// qrPicture is a QR code as an SVG path, which needs no image and no script.
type qrPicture struct {
	Size int    // modules, with the quiet zone
	Path string // of an SVG path element
}

// quiet is how many empty modules stand around a code (ISO/IEC 18004, 9.1).
const quiet = 4

func makeQR(text string) (qrPicture, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return qrPicture{}, fmt.Errorf("draw QR code: %w", err)
	}
	n := code.Bounds().Dx()
	var b strings.Builder
	for y := range n {
		for x := 0; x < n; {
			run := x
			for run < n && dark(code.At(run, y).RGBA()) {
				run++
			}
			if run > x {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run-x, run-x)
			}
			x = run + 1
		}
	}
	return qrPicture{Size: n + 2*quiet, Path: b.String()}, nil
}

func dark(r, g, b, _ uint32) bool { return r+g+b < 3*0x8000 }
