package pdf

import (
	"fmt"

	"github.com/boombuler/barcode/qr"
)

// quiet is the margin that a reader needs around a code, in modules (ISO/IEC 18004).
const quiet = 4

// code draws a QR code whose upper left corner is given, side points wide with its margin, as
// boxes, so that it is as sharp as the printer. What it says must stand beside it as text.
func (d *document) code(x, y, side float64, text string) {
	if d.err != nil {
		return
	}
	c, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		d.err = fmt.Errorf("draw code: %w", err)
		return
	}
	n := c.Bounds().Dx()
	module := side / float64(n+2*quiet)
	d.gp.SetFillColor(255, 255, 255)
	d.gp.RectFromUpperLeftWithStyle(x, y, side, side, "F")
	d.gp.SetFillColor(0, 0, 0)
	for row := range n {
		for from := 0; from < n; from++ {
			to := from
			for to < n {
				if r, _, _, _ := c.At(to, row).RGBA(); r != 0 {
					break
				}
				to++
			}
			if to > from { // modules beside each other as one box: no hair lines between them
				d.gp.RectFromUpperLeftWithStyle(x+float64(from+quiet)*module, y+float64(row+quiet)*module, float64(to-from)*module, module, "F")
				from = to
			}
		}
	}
}
