// Package logdir names and checks the files of a ledger that was exported: a log in the
// layout of C2SP tlog-tiles, with the texts of its entries. It reads the folder alone, and
// knows nothing of databases or of what acts there are. The format is described in
// internal/docs/design/custody.md.
package logdir

import (
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// The measures of C2SP tlog-tiles.
const (
	Height     = 8           // levels of a tile
	Width      = 1 << Height // hashes of a full tile, entries of a full bundle
	RecordSize = 32          // bytes: an entry of the log is SHA-256(salt ‖ text)
)

// Names in the folder. The first is written last.
const (
	CheckpointFile = "checkpoint"
	KeyFile        = "key.vkey"
	ReadmeFile     = "README.txt"
)

// Names of the time stamp of the checkpoint, where there is one.
const (
	StampedFile    = "timestamp/checkpoint.txt" // the checkpoint without signatures of witnesses
	StampFile      = "timestamp/token.tsr"      // RFC 3161 TimeStampResp, DER
	StampRootsFile = "timestamp/ca.pem"         // certificates above the authority's
)

// TilePath is the path of a tile of hashes; width is 256 or less.
func TilePath(level int, n int64, width int) string {
	p := tlog.Tile{H: Height, L: level, N: n, W: width}.Path() // tile/H/L/N[.p/W]
	return "tile/" + strings.TrimPrefix(p, "tile/"+strconv.Itoa(Height)+"/")
}

// BundlePath is the path of a bundle of records.
func BundlePath(n int64, width int) string {
	p := TilePath(0, n, width)
	return "tile/entries/" + strings.TrimPrefix(p, "tile/0/")
}

// TextPath is the path of the texts of a bundle's entries, JSON lines.
func TextPath(n int64) string {
	p := TilePath(0, n, Width)
	return "texts/" + strings.TrimPrefix(p, "tile/0/") + ".jsonl"
}

// Line is one entry's text. Salt and text of an erased entry are both empty.
type Line struct {
	Index int64  `json:"index"`
	Salt  string `json:"salt"` // hexadecimal, 32 bytes
	Text  string `json:"text"` // the exact text that was hashed
}

// Readme stands in every folder.
const Readme = `証拠管理台帳の写し

このフォルダーは、証拠管理台帳の全記録と、その署名（検証点）です。作ったソフトウェアを使わずに検証できます。
形式は C2SP tlog-tiles、tlog-checkpoint、signed-note（https://c2sp.org）と RFC 6962 です。

  checkpoint        署名された検証点：ログの名前、件数、ルート（Base64）
  key.vkey          検証用の鍵（公開鍵）。必ず別の経路で受け取ったものと見比べてください
  tile/entries/     各記録の SHA-256(ソルト ‖ 本文)。2バイトの長さ（32）が前に付きます
  tile/0/ など      RFC 6962 のハッシュ。葉 = SHA-256(0x00 ‖ 記録)、節 = SHA-256(0x01 ‖ 左 ‖ 右)
  texts/            記録の本文とソルト（JSON Lines）
  timestamp/        検証点のタイムスタンプ（RFC 3161）。ないこともあります

checkpoint には、連署者の署名（C2SP tlog-cosignature）が続くことがあります。確かめるには --witness に連署者の鍵を渡します。
タイムスタンプの確認： openssl ts -verify -in timestamp/token.tsr -data timestamp/checkpoint.txt -CAfile 時刻認証局の証明書
（timestamp/ca.pem は取得したときの証明書です。時刻認証局が公開しているものと見比べてください）

確認の方法： hozen-collector ledger verify このフォルダー --key 別に受け取った鍵
一件だけを手で確かめる方法： ソルト（16進）をバイトに直し、本文をつなげて SHA-256 を計算すると、
tile/entries/ にある同じ順番の32バイトになります。

A copy of the custody ledger

This folder is every entry of a custody ledger and its signature (checkpoint). It can be checked
without the software that made it. The formats are C2SP tlog-tiles, tlog-checkpoint and signed-note
(https://c2sp.org), and RFC 6962.

  checkpoint        the signed checkpoint: name of the log, number of entries, root (base64)
  key.vkey          the key that checks it. Compare it with one that you got by another way
  tile/entries/     SHA-256(salt ‖ text) of each entry, after two bytes of length (32)
  tile/0/ and on    RFC 6962 hashes: leaf = SHA-256(0x00 ‖ record), node = SHA-256(0x01 ‖ left ‖ right)
  texts/            text and salt of each entry (JSON lines)
  timestamp/        time stamp of the checkpoint (RFC 3161); may be absent

Below the checkpoint may stand signatures of witnesses (C2SP tlog-cosignature): give their keys with --witness.
To check the time stamp: openssl ts -verify -in timestamp/token.tsr -data timestamp/checkpoint.txt -CAfile CERTIFICATES
(timestamp/ca.pem has those that were trusted when it came; compare them with what the authority publishes).

To check: hozen-collector ledger verify THIS-FOLDER --key KEY-GOT-BY-ANOTHER-WAY
To check one entry by hand: the SHA-256 of the salt (its bytes, from hexadecimal) and the text after
it is the 32 bytes at the same place in tile/entries/.
`
