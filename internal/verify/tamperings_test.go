package verify_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tampering is one change to a package and the name under which it must be found.
type tampering struct {
	change     func(x *bag)
	code, file string // of a problem; file is part of the name
	lists      bool   // the lists of the bag are left as the change leaves them
}

// flipped has one bit changed in the middle.
func flipped(s string) string {
	b := []byte(s)
	b[len(b)/2] ^= 1
	return string(b)
}

// hexFlip changes the digit behind a text.
func hexFlip(s, before string) string {
	i := strings.Index(s, before) + len(before)
	return s[:i] + map[bool]string{true: "1", false: "0"}[s[i] == '0'] + s[i+1:]
}

// tamperings are changes to the package of one PC. A forger who makes the lists of the bag anew
// is assumed wherever the lists are not what is changed.
func tamperings() map[string]tampering {
	return map[string]tampering{
		"a byte of sealed evidence":             {func(x *bag) { n := x.one("artifacts/process.jsonl.zst"); x.files[n] = flipped(x.files[n]) }, "stored", "process.jsonl.zst", false},
		"a byte of sealed evidence, lists kept": {func(x *bag) { n := x.one("artifacts/process.jsonl.zst"); x.files[n] = flipped(x.files[n]) }, "digest", "process.jsonl.zst", true},
		"a sealed artifact cut off":             {func(x *bag) { n := x.one("artifacts/bodyfile.jsonl.zst"); x.files[n] = x.files[n][:20] }, "size", "bodyfile.jsonl.zst", false},
		"a sealed artifact taken away":          {func(x *bag) { x.drop(x.one("artifacts/startfile.jsonl.zst")) }, "missing", "startfile.jsonl.zst", false},
		"a sealed artifact added": {func(x *bag) {
			x.add(strings.Replace(x.one("artifacts/bodyfile.jsonl.zst"), "bodyfile", "evil", 1), "x")
		}, "extra", "evil.jsonl.zst", false},
		"a manifest edited":            {func(x *bag) { x.edit("sealed/"+acqOf(x)+"/manifest.json", `"profile": "`, `"profile": "x`) }, "signature", "manifest.json.sig", false},
		"a manifest with a name twice": {func(x *bag) { x.edit("manifest.json", `"format"`, `"format": "hozen-manifest/1", "format"`) }, "manifest", "manifest.json", false},
		"a signature replaced":         {func(x *bag) { n := x.one("manifest.json.sig"); x.files[n] = flipped(x.files[n]) }, "signature", "manifest.json.sig", false},
		"a receipt taken away":         {func(x *bag) { x.drop(x.one("receipt.json")) }, "missing", "receipt.json", false},
		"a receipt edited":             {func(x *bag) { x.edit("receipt.json", `"payload": "eyJ`, `"payload": "eyK`) }, "receipt", "receipt.json", false},
		"a readable line edited":       {func(x *bag) { x.edit("process.jsonl", `"pid":77`, `"pid":78`) }, "decoded", "process.jsonl", false},
		"a readable line taken away": {func(x *bag) {
			n := x.one("startfile.jsonl")
			_, rest, _ := strings.Cut(x.files[n], "\n")
			x.files[n] = rest
		}, "decoded", "startfile.jsonl", false},
		"a cell of a table edited":          {func(x *bag) { x.edit("process.csv", `"77"`, `"70"`) }, "decoded", "process.csv", false},
		"the guard of a formula taken away": {func(x *bag) { x.edit("process.csv", `"'=cmd`, `"=cmd`) }, "decoded", "process.csv", false},
		"a row of a table taken away": {func(x *bag) {
			n := x.one("process.csv")
			i := strings.Index(x.files[n], "\r\n\"77")
			x.files[n] = x.files[n][:i+2]
		}, "decoded", "process.csv", false},
		"another kind of exhibit": {func(x *bag) { x.edit("exhibits.json", `"kind": "volatile"`, `"kind": "memory"`) }, "ledger", "exhibits.json", false},
		"another custodian":       {func(x *bag) { x.edit("exhibits.json", `"hash_after": "`, `"to_person": "x", "hash_after": "`) }, "ledger", "exhibits.json", false},
		"an event of custody taken away": {func(x *bag) {
			n := x.one("exhibits.json")
			x.files[n] = regexp.MustCompile(`(?s)"events": \[\s*\{.*?\n        \},`).ReplaceAllString(x.files[n], `"events": [`)
		}, "ledger", "exhibits.json", false},
		"no file of exhibits": {func(x *bag) { x.drop("data/custody/exhibits.json") }, "missing", "exhibits.json", false},
		"no exhibits in the file of them": {func(x *bag) {
			x.files["data/custody/exhibits.json"] = `{"format": "hozen-exhibits/1", "exhibits": [], "events": []}`
		}, "ledger", "exhibits.json", false},
		"an exhibit taken away": {func(x *bag) { x.things(func(list []any) []any { return list[1:] }) }, "ledger", "exhibits.json", false},
		"an exhibit twice":      {func(x *bag) { x.things(func(list []any) []any { return append(list, list[0]) }) }, "ledger", "exhibits.json", false},
		"exhibits taken away with their entries": {func(x *bag) {
			x.drop("data/custody/exhibits.json")
			for strings.Contains(x.files["data/custody/entries.jsonl"], `\"act\":\"custody.`) {
				dropLine(x, `\"act\":\"custody.`)
			}
		}, "ledger", "entries.jsonl", false},
		"exhibits out of another scope": {func(x *bag) {
			x.files["data/package.json"] = regexp.MustCompile(`"hosts": \[\]`).ReplaceAllString(x.files["data/package.json"], `"hosts": ["end_00000000000000000000000000"]`)
		}, "ledger", "package.json", false},
		"everything held by somebody else": {func(x *bag) {
			x.files["data/custody/exhibits.json"] = regexp.MustCompile(`"custodian": "[^"]*"`).ReplaceAllString(x.files["data/custody/exhibits.json"], `"custodian": "EVIL"`)
		}, "ledger", "exhibits.json", false},
		"a custodian taken away": {func(x *bag) { x.exhibit(func(e map[string]any) { delete(e, "custodian") }) }, "ledger", "exhibits.json", false},
		"a gap that is none": {func(x *bag) {
			x.exhibit(func(e map[string]any) {
				e["gaps"] = []any{map[string]any{"code": "order", "from": "2026-11-22T12:00:00Z", "to": "2026-11-22T12:00:00Z", "seq": 2}}
			})
		}, "ledger", "exhibits.json", false},
		"who got it left out of an event": {func(x *bag) {
			x.exhibit(func(e map[string]any) {
				delete(e["events"].([]any)[1].(map[string]any)["details"].(map[string]any), "to_organisation")
			})
		}, "ledger", "exhibits.json", false},
		"a description left out": {func(x *bag) {
			x.exhibit(func(e map[string]any) {
				delete(e["said"].([]any)[0].(map[string]any)["details"].(map[string]any), "field_host")
				delete(e["fields"].(map[string]any), "host")
			})
		}, "ledger", "exhibits.json", false},
		"events in another order": {func(x *bag) { x.exhibit(func(e map[string]any) { slices.Reverse(e["events"].([]any)) }) }, "ledger", "exhibits.json", false},
		"an event twice": {func(x *bag) {
			x.exhibit(func(e map[string]any) { l := e["events"].([]any); e["events"] = append(l, l[1]) })
		}, "ledger", "exhibits.json", false},
		"another description of an exhibit": {func(x *bag) { x.edit("exhibits.json", `"host": "`, `"host": "x`) }, "ledger", "exhibits.json", false},
		"evidence that nobody disposed of": {func(x *bag) {
			for _, n := range slices.Clone(x.names) {
				if strings.Contains(n, "/sealed/"+acqOf(x)+"/artifacts/") {
					x.drop(n)
				}
			}
			x.edit("package.json", `"id": "`+acqOf(x)+`"`, `"id": "`+acqOf(x)+`", "disposed_by": 3`)
		}, "ledger", "sealed/", false},
		"a time stamp of another checkpoint": {func(x *bag) { stamped(x, "x"+x.files["data/custody/checkpoint.txt"]) }, "timestamp", "checkpoint.tsr", false},
		"no time stamp where one is told": {func(x *bag) {
			stamped(x, x.files["data/custody/checkpoint.txt"])
			x.drop("data/custody/checkpoint.tsr")
		}, "missing", "checkpoint.tsr", false},
		"a time stamp that is not told": {func(x *bag) { x.add("data/custody/checkpoint.tsr", "x") }, "timestamp", "checkpoint.tsr", false},
		"cosignatures of another checkpoint": {func(x *bag) {
			x.add("data/custody/cosigned.txt", "another\n"+x.files["data/custody/checkpoint.txt"])
			x.edit("package.json", `"checkpoint": true`, `"checkpoint": true, "cosigned": true`)
		}, "checkpoint", "cosigned.txt", false},
		"a line of the body file edited":     {func(x *bag) { x.edit("/bodyfile", "|-rw-r--r--|", "|-rwsr-xr-x|") }, "decoded", "bodyfile", false},
		"a line of the body file taken away": {func(x *bag) { n := x.one("/bodyfile"); _, x.files[n], _ = strings.Cut(x.files[n], "\n") }, "decoded", "bodyfile", false},
		"a file of a PC edited":              {func(x *bag) { x.edit("$rootfs$/etc/crontab", "hello", "hullo") }, "decoded", "$rootfs$/etc/crontab", false},
		"a file of a PC edited, and the index": {func(x *bag) {
			n := x.one("$rootfs$/etc/crontab")
			x.files[n] = ""
			x.edit("fs/index.jsonl", "crontab\",\"size\":5", "crontab\",\"size\":0")
		}, "decoded", "fs/index.jsonl", false},
		"a file of a PC called otherwise": {func(x *bag) {
			n := x.one("$rootfs$/etc/crontab")
			x.add(strings.Replace(n, "crontab", "shadow", 1), x.files[n])
			x.drop(n)
			x.edit("fs/index.jsonl", `$rootfs$/etc/crontab"`, `$rootfs$/etc/shadow"`)
		}, "decoded", "fs/index.jsonl", false},
		"a file of a PC taken away": {func(x *bag) {
			x.drop(x.one("$rootfs$/etc/crontab"))
			n := x.one("fs/index.jsonl")
			x.files[n] = regexp.MustCompile(`(?m)^.*/etc/crontab".*\n`).ReplaceAllString(x.files[n], "")
		}, "decoded", "fs/index.jsonl", false},
		"a file of a PC that none had": {func(x *bag) { x.add(strings.Replace(x.one("$rootfs$/etc/crontab"), "crontab", "evil", 1), "evil") }, "package", "etc/evil", false},
		"a file in the index that no evidence carries": {func(x *bag) {
			n, file := x.one("fs/index.jsonl"), x.one("$rootfs$/etc/crontab")
			line := regexp.MustCompile(`(?m)^.*/etc/crontab".*\n`).FindString(x.files[n])
			x.files[n] += strings.Replace(strings.ReplaceAll(line, "etc/crontab", "etc/evil"), `"file":1`, `"file":9`, 1)
			x.add(strings.Replace(file, "crontab", "evil", 1), x.files[file])
		}, "decoded", "etc/evil", false},
		"another number of a file of a PC": {func(x *bag) {
			x.edit("fs/index.jsonl", `"file":1,"path":"/etc/crontab"`, `"file":0,"path":"/etc/crontab"`)
		}, "decoded", "etc/crontab", false},
		"a file that was said to be whole":       {func(x *bag) { x.edit("fs/index.jsonl", `"whole":false`, `"whole":true`) }, "decoded", "fs/index.jsonl", false},
		"a file of the system edited":            {func(x *bag) { x.edit("systemmap.raw", "_text", "_test") }, "decoded", "systemmap.raw", false},
		"a readable copy that nothing speaks of": {func(x *bag) { x.add(strings.Replace(x.one("process.csv"), "process", "processes", 1), "a") }, "package", "processes.csv", false},
		"a reason instead of a readable copy":    {func(x *bag) { n := x.one("startfile.csv"); x.drop(n) }, "missing", "startfile.csv", false},
		"an entry of the ledger edited":          {func(x *bag) { x.edit("entries.jsonl", `\"act\":\"evidence.accept\"`, `\"act\":\"evidence.Accept\"`) }, "entry", "entries.jsonl", false},
		"an entry of the ledger taken away":      {func(x *bag) { dropLine(x, "evidence.accept") }, "ledger", "sealed/", false},
		"the order of the package taken away":    {func(x *bag) { dropLine(x, "export.order") }, "ledger", "entries.jsonl", false},
		"entries of the ledger exchanged":        {func(x *bag) { swapLines(x) }, "entry", "entries.jsonl", false},
		"a salt replaced":                        {func(x *bag) { x.files[x.one("entries.jsonl")] = hexFlip(x.files[x.one("entries.jsonl")], `"salt":"`) }, "entry", "entries.jsonl", false},
		"a proof replaced":                       {func(x *bag) { x.files[x.one("entries.jsonl")] = hexFlip(x.files[x.one("entries.jsonl")], `"proof":["`) }, "entry", "entries.jsonl", false},
		"a proof cut off": {func(x *bag) {
			n := x.one("entries.jsonl")
			x.files[n] = regexp.MustCompile(`,"[0-9a-f]{64}"\]`).ReplaceAllString(x.files[n], "]")
		}, "entry", "entries.jsonl", false},
		"another root of the ledger": {func(x *bag) {
			x.files[x.one("custody/ledger.json")] = hexFlip(x.files[x.one("custody/ledger.json")], `"root_sha256": "`)
		}, "ledger", "ledger.json", false},
		"a ledger that does not go on from receipts": {func(x *bag) {
			n := x.one("custody/ledger.json")
			x.files[n] = regexp.MustCompile(`(?s)"proof": \[\s*"[0-9a-f]`).ReplaceAllString(x.files[n], `"proof": ["f`)
		}, "ledger", "ledger.json", false},
		"another recipient": {func(x *bag) { x.edit("package.json", "サンプル県警", "別の県警") }, "ledger", "package.json", false},
		"another purpose":   {func(x *bag) { x.edit("package.json", "被害届に添付", "社内") }, "ledger", "package.json", false},
		"a checkpoint of another size": {func(x *bag) {
			n := x.one("checkpoint.txt")
			x.files[n] = regexp.MustCompile(`\n([0-9]+)\n`).ReplaceAllString(x.files[n], "\n1$1\n")
		}, "checkpoint", "checkpoint.txt", false},
		"a checkpoint with another root": {func(x *bag) {
			n := x.one("checkpoint.txt")
			l := strings.Split(x.files[n], "\n")
			l[2] = flipped(l[2])
			x.files[n] = strings.Join(l, "\n")
		}, "checkpoint", "checkpoint.txt", false},
		"a checkpoint without signature": {func(x *bag) {
			n := x.one("checkpoint.txt")
			t, _, _ := strings.Cut(x.files[n], "\n\n")
			x.files[n] = t + "\n\n"
		}, "checkpoint", "checkpoint.txt", false},
		"a checkpoint taken away":        {func(x *bag) { x.drop(x.one("checkpoint.txt")) }, "missing", "checkpoint.txt", false},
		"a checkpoint denied":            {func(x *bag) { x.edit("package.json", `"checkpoint": true`, `"checkpoint": false`) }, "checkpoint", "checkpoint.txt", false},
		"another key of the checkpoint":  {func(x *bag) { x.edit("custody/ledger.json", `"checkpoint_key": "`, `"checkpoint_key": "x`) }, "checkpoint", "ledger.json", false},
		"an unknown field":               {func(x *bag) { x.edit("package.json", `"format"`, `"extra": 1, "format"`) }, "package", "package.json", false},
		"another format":                 {func(x *bag) { x.edit("package.json", "hozen-package/1", "hozen-package/2") }, "package", "package.json", false},
		"the timeline edited":            {func(x *bag) { x.edit("timeline.jsonl", "opened", "closed") }, "digest", "timeline.jsonl", true},
		"a file that no list has":        {func(x *bag) { x.add("data/evil.exe", "MZ") }, "extra", "data/evil.exe", true},
		"a file beside that no list has": {func(x *bag) { x.add("autorun.inf", "x") }, "extra", "autorun.inf", true},
		"a file that is not there":       {func(x *bag) { x.drop("data/timeline.jsonl") }, "missing", "data/timeline.jsonl", true},
		"a list with a path out of it":   {func(x *bag) { x.files["manifest-sha256.txt"] += strings.Repeat("0", 64) + "  data/../../x\n" }, "bag", "manifest-sha256.txt", true},
		"a list in another form":         {func(x *bag) { x.files["manifest-sha256.txt"] += "x\n" }, "bag", "manifest-sha256.txt", true},
		"a file twice in a list": {func(x *bag) {
			l, _, _ := strings.Cut(x.files["manifest-sha256.txt"], "\n")
			x.files["manifest-sha256.txt"] += l + "\n"
		}, "bag", "manifest-sha256.txt", true},
		"another number of bytes":  {func(x *bag) { x.edit("bag-info.txt", "Payload-Oxum: ", "Payload-Oxum: 1") }, "bag", "bag-info.txt", true},
		"another version of BagIt": {func(x *bag) { x.edit("bagit.txt", "1.0", "0.97") }, "bag", "bagit.txt", true},
		"no list of lists":         {func(x *bag) { x.drop("tagmanifest-sha256.txt") }, "missing", "tagmanifest-sha256.txt", true},
		"another folder":           {func(x *bag) { x.base = "INC-2026-0001-P02" }, "package", "INC-2026-0001-P02", false},
	}
}

// tamperingsOfTwo are changes to the package of two PCs, one of which gets what is the other's.
func tamperingsOfTwo() map[string]tampering {
	return map[string]tampering{
		"another endpoint's key":         {func(x *bag) { swap(x, "signer.pem") }, "signer", "signer.pem", false},
		"another endpoint's certificate": {func(x *bag) { swap(x, "signer-cert.pem") }, "certificate", "signer-cert.pem", false},
		"another acquisition's receipt":  {func(x *bag) { swap(x, "receipt.json") }, "receipt", "receipt.json", false},
		"two endpoints exchanged":        {func(x *bag) { swapFolders(x) }, "package", "sealed/", false},
		"an acquisition taken away":      {func(x *bag) { dropFolder(x, "sealed/"+acqOf(x)) }, "missing", "manifest.json", false},
		"an acquisition hidden from package.json": {func(x *bag) {
			x.files["data/package.json"] = strings.ReplaceAll(x.files["data/package.json"], acqOf(x), "acq_00000000000000000000000000")
		}, "package", "sealed/", false},
	}
}

// tamperingsOfSent are changes to the files that people sent.
func tamperingsOfSent(t testing.TB) map[string]tampering {
	// sent changes the list of them in package.json.
	sent := func(x *bag, change func([]any) []any) {
		var d map[string]any
		must(t, json.Unmarshal([]byte(x.files["data/package.json"]), &d))
		if d["uploads"] = change(d["uploads"].([]any)); len(d["uploads"].([]any)) == 0 {
			delete(d, "uploads")
		}
		b, err := json.Marshal(d)
		must(t, err)
		x.files["data/package.json"] = string(b)
	}
	one := func(x *bag, change func(map[string]any)) {
		sent(x, func(l []any) []any { change(l[0].(map[string]any)); return l })
	}
	const log = "-E01.log"
	sum := regexp.MustCompile(`[0-9a-f]{64}`)
	return map[string]tampering{
		"a byte of it":             {func(x *bag) { x.edit(log, "BYTES", "bytes") }, "stored", log, false},
		"a byte of it, lists kept": {func(x *bag) { x.edit(log, "BYTES", "bytes") }, "digest", log, true},
		"cut off":                  {func(x *bag) { n := x.one(log); x.files[n] = x.files[n][:3] }, "size", log, false},
		"taken away":               {func(x *bag) { x.drop(x.one(log)) }, "missing", log, false},
		"taken away with its words": {func(x *bag) {
			x.drop(x.one(log))
			sent(x, func(l []any) []any { return l[1:] })
		}, "ledger", "package.json", false},
		"all taken away, with their entries": {func(x *bag) {
			x.drop(x.one(log))
			x.drop(x.one("-E02.bin"))
			sent(x, func([]any) []any { return nil })
			for strings.Contains(x.files["data/custody/entries.jsonl"], `\"act\":\"record.upload`) {
				dropLine(x, `\"act\":\"record.upload`)
			}
		}, "ledger", "package.json", false},
		"its entry taken away": {func(x *bag) { dropLine(x, `\"act\":\"record.upload\"`) }, "ledger", log, false},
		"two of them exchanged": {func(x *bag) {
			a, b := x.one(log), x.one("-E02.bin")
			x.files[a], x.files[b] = x.files[b], x.files[a]
		}, "size", log, false},
		"another file, and its words": {func(x *bag) {
			x.edit(log, "BYTES", "bytes")
			one(x, func(u map[string]any) { u["sha256"] = strings.Repeat("a", 64) })
		}, "ledger", log, false},
		"called otherwise by its sender": {func(x *bag) { one(x, func(u map[string]any) { u["name"] = "other" }) }, "ledger", log, false},
		"from another place":             {func(x *bag) { one(x, func(u map[string]any) { u["source"] = "photo" }) }, "ledger", log, false},
		"of another exhibit":             {func(x *bag) { one(x, func(u map[string]any) { u["exhibit_id"] = "exh_00000000000000000000000000" }) }, "ledger", log, false},
		"by another number": {func(x *bag) {
			x.add(strings.Replace(x.one(log), "E01", "E09", 1), x.files[x.one(log)])
			x.drop(x.one(log))
			one(x, func(u map[string]any) {
				u["exhibit"], u["file"] = strings.Replace(u["exhibit"].(string), "E01", "E09", 1), strings.Replace(u["file"].(string), "E01", "E09", 1)
			})
		}, "ledger", "-E09.log", false},
		"one that nobody sent": {func(x *bag) { x.add("data/uploads/evil.log", "evil") }, "package", "uploads/evil.log", false},
		"one that nobody sent, and its words": {func(x *bag) {
			x.add(strings.Replace(x.one(log), "E01", "E09", 1), "evil")
			sent(x, func(l []any) []any {
				u := map[string]any{}
				for k, v := range l[0].(map[string]any) {
					u[k] = v
				}
				u["upload_id"], u["exhibit"], u["file"] = "upl_00000000000000000000000000", strings.Replace(u["exhibit"].(string), "E01", "E09", 1), strings.Replace(u["file"].(string), "E01", "E09", 1)
				return append(l, u)
			})
		}, "ledger", "-E09.log", false},
		"the same twice": {func(x *bag) { sent(x, func(l []any) []any { return append(l, l[0]) }) }, "package", "package.json", false},
		"in another folder": {func(x *bag) {
			one(x, func(u map[string]any) { u["file"] = "uploads/../../x.log" })
		}, "package", "package.json", false},
		"said to be disposed of": {func(x *bag) {
			x.drop(x.one(log))
			one(x, func(u map[string]any) { delete(u, "file"); u["disposed_by"] = 1 })
		}, "ledger", "-E01", false},
		"its words in the ledger": {func(x *bag) {
			n := "data/custody/entries.jsonl"
			at := strings.Index(x.files[n], `record.upload\"`)
			i := sum.FindStringIndex(x.files[n][at:])[0] + at
			x.files[n] = x.files[n][:i] + strings.Repeat("a", 64) + x.files[n][i+64:]
		}, "entry", "entries.jsonl", false},
	}
}
