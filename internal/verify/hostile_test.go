package verify_test

import (
	"bytes"
	"hash/crc32"
	"slices"
)

// hostileZip is a zip that no writer makes, and the name of what is wrong with it.
type hostileZip struct {
	zip  []byte
	code string
}

// hostileZips are zips that programs read differently, or that harm who unpacks them. raw is a
// package in order.
func hostileZips(raw []byte) map[string]hostileZip {
	good := rawFile{name: "b/bagit.txt", content: "x"}
	made := func(files ...rawFile) []byte {
		z := &rawZip{}
		for _, f := range files {
			z.add(f)
		}
		return z.end()
	}
	return map[string]hostileZip{
		"empty":                                {[]byte{}, "zip"},
		"no zip":                               {bytes.Repeat([]byte("evidence"), 100), "zip"},
		"cut off":                              {raw[:len(raw)-1], "zip"},
		"cut off in the middle":                {raw[:len(raw)/2], "zip"},
		"a byte behind it":                     {append(slices.Clone(raw), 0), "zip_tail"},
		"another file before it":               {append([]byte("MZ program"), raw...), "zip_tail"},
		"another zip behind it":                {append(slices.Clone(raw), made(good)...), "zip_tail"},
		"a path out of the folder":             {made(good, rawFile{name: "b/../../etc/cron.d/x"}), "zip_name"},
		"an absolute path":                     {made(good, rawFile{name: "/etc/passwd"}), "zip_name"},
		"a backslash":                          {made(good, rawFile{name: `b/..\..\x`}), "zip_name"},
		"a drive":                              {made(good, rawFile{name: "C:/x"}), "zip_name"},
		"a name that runs backwards":           {made(good, rawFile{name: "b/\u202egpj.exe", flags: 1 << 11}), "zip_name"},
		"a control character":                  {made(good, rawFile{name: "b/a\nb"}), "zip_name"},
		"not UTF-8":                            {made(good, rawFile{name: "b/\xff", flags: 1 << 11}), "zip_name"},
		"Japanese without its mark":            {made(good, rawFile{name: "b/経理"}), "zip_name"},
		"a dot at the end":                     {made(good, rawFile{name: "b/x."}), "zip_name"},
		"an empty name":                        {made(good, rawFile{name: ""}), "zip_name"},
		"two folders":                          {made(good, rawFile{name: "c/x"}), "zip_name"},
		"a name twice":                         {made(good, good), "zip_twice"},
		"a file and a folder":                  {made(good, rawFile{name: "b/bagit.txt/x"}), "zip_twice"},
		"another case":                         {made(good, rawFile{name: "b/BagIt.txt"}), "zip_case"},
		"a link":                               {made(good, rawFile{name: "b/l", content: "/etc/passwd", mode: 0o120777}), "zip_link"},
		"a device":                             {made(good, rawFile{name: "b/d", mode: 0o020666}), "zip_link"},
		"encrypted":                            {made(good, rawFile{name: "b/e", flags: 1}), "zip_encrypted"},
		"another compression":                  {made(good, rawFile{name: "b/e", method: 12}), "zip_method"},
		"a bomb":                               {made(good, rawFile{name: "b/z", method: 8, size: 1<<30 + 1}), "zip_bomb"},
		"two names for the same bytes":         {made(rawFile{name: "b/one", content: "same"}, rawFile{name: "b/two", content: "", at: 1}), "zip_overlap"},
		"another name beside the bytes":        {made(good, rawFile{name: "b/x", local: "b/y"}), "zip"},
		"a comment":                            {made(good, rawFile{name: "b/x", comment: "hi"}), "zip"},
		"a second name":                        {made(good, rawFile{name: "b/x", extra: "\x75\x70\x01\x00\x01"}), "zip"},
		"another size beside the bytes":        {made(good, rawFile{name: "b/x", content: "x", localSize: 2}), "zip"},
		"a second name beside the bytes":       {made(good, rawFile{name: "b/x", beside: "\x75\x70\x01\x00\x01"}), "zip"},
		"another long size beside the bytes":   {made(good, rawFile{name: "b/x", content: "x", localSize: 0xffffffff, beside: "\x01\x00\x08\x00\x02\x00\x00\x00\x00\x00\x00\x00"}), "zip"},
		"a cut extra field beside the bytes":   {made(good, rawFile{name: "b/x", content: "x", beside: "\x01\x00\x08"}), "zip"},
		"a folder with bytes":                  {made(good, rawFile{name: "b/d/", content: "\x03\x00", method: 8, hollow: true}), "zip"},
		"more than all files may have":         {made(slices.Concat([]rawFile{good}, many(1025))...), "zip_bomb"},
		"the right long size beside the bytes": {made(rawFile{name: "b/x", content: "x", localSize: 0xffffffff, beside: "\x01\x00\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00"}), "missing"}, // it is taken; bagit.txt is not there
		"stored in another size":               {made(good, rawFile{name: "b/x", content: "x", size: 2}), "zip"},
		// What unpacks to something else than the zip says is found when it is read.
		"another CRC":       {made(rawFile{name: "b/bagit.txt", content: "x", crc: 1}), "zip_data"},
		"longer than said":  {made(rawFile{name: "b/bagit.txt", content: "\x01\x05\x00\xfa\xffhello", method: 8, size: 2}), "zip_data"},
		"shorter than said": {made(rawFile{name: "b/bagit.txt", content: "\x01\x05\x00\xfa\xffhello", method: 8, size: 9}), "zip_data"},
		"bytes left over":   {made(rawFile{name: "b/bagit.txt", content: "\x01\x05\x00\xfa\xffhello rest", method: 8, size: 5, crc: crc32.ChecksumIEEE([]byte("hello"))}), "zip_data"},
	}
}
