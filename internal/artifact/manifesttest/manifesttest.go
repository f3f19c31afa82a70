// Package manifesttest lists what a reader of manifests (hozen-manifest/1) must refuse, for
// the tests of every reader. It knows none of them.
package manifesttest

import "strings"

// Good is a manifest that every reader takes.
const Good = `{
 "format": "hozen-manifest/1",
 "acquisition_id": "acq_00000000000000000000000004",
 "endpoint_id": "end_00000000000000000000000008",
 "trigger": "command",
 "profile": "volatile",
 "host": {"hostname": "pc1", "os": "linux", "arch": "amd64", "boot_id": "b"},
 "tool": {"name": "hozen-agent", "version": "1.0.0", "commit": "c", "sha256": ""},
 "started_at": {"wall": "2026-03-01T09:00:00.000000001Z", "boot_ns": 5},
 "finished_at": {"wall": "2026-03-01T09:00:01Z", "boot_ns": 6},
 "outcome": "partial",
 "probes": [
  {"kind": "process", "budget_ns": 1, "started_at": {"wall": "2026-03-01T09:00:00Z", "boot_ns": 5}, "duration_ns": 2, "outcome": "complete", "records": 2},
  {"kind": "session", "budget_ns": 1, "started_at": {"wall": "2026-03-01T09:00:00Z", "boot_ns": 5}, "duration_ns": 2, "outcome": "denied", "detail": "no", "records": 0, "skipped": 1}
 ],
 "artifacts": [
  {"name": "artifacts/process.jsonl.zst", "kind": "process", "schema": "hozen.process/1", "records": 2, "compression": "zstd", "envelope": {"scheme": "none"},
   "plain": {"sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "size": 100},
   "stored": {"sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "size": 50}}
 ],
 "signer": {"algorithm": "ecdsa-p256-sha256", "key_sha256": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}
}
`

// Case is a manifest that must be refused.
type Case struct {
	Name     string
	Manifest string
}

// Bad returns the cases: [Good], each with one change.
func Bad() []Case {
	var out []Case
	change := func(name, old, with string) {
		if strings.Count(Good, old) == 0 {
			panic("manifesttest: " + old + " is not there")
		}
		out = append(out, Case{name, strings.Replace(Good, old, with, 1)})
	}
	const process = ` "records": 2, "compression"`
	second := func(name, kind, more string) string {
		return `"artifacts": [` + "\n" + `  {"name": "` + name + `", "kind": "` + kind + `", "schema": "hozen.` + kind + `/1", "records": 2, "compression": "zstd", "envelope": {"scheme": "none"},
   "plain": {"sha256": "` + strings.Repeat("a", 64) + `", "size": 100}, "stored": {"sha256": "` + strings.Repeat("b", 64) + `", "size": 50}},` + more
	}
	change("another format", "hozen-manifest/1", "hozen-manifest/2")
	change("a name twice", `"profile": "volatile",`, `"profile": "volatile", "profile": "flash",`)
	change("a name in capitals", `"profile":`, `"Profile":`)
	change("a name that is not known", `"profile": "volatile",`, `"profile": "volatile", "extra": 1,`)
	change("a name that is not known, in a probe", `"kind": "session",`, `"kind": "session", "extra": 1,`)
	change("null", `"profile": "volatile"`, `"profile": null`)
	change("null where nothing need be", `"endpoint_id": "end_00000000000000000000000008"`, `"endpoint_id": "end_00000000000000000000000008", "incident_id": null`)
	change("a list that is null", "\"probes\": [\n  {", "\"probes\": null, \"x\": [\n  {")
	change("something behind the object", "}\n", "}\n{}\n") // the first closing line is inside
	out[len(out)-1].Manifest = Good + "{}"
	change("cut off", `"signer"`, "")
	out[len(out)-1].Manifest = Good[:len(Good)-3]
	change("not UTF-8", `"pc1"`, "\"pc\xff\"")
	for _, name := range []string{
		`"trigger": "command",`, `"profile": "volatile",`, `"outcome": "partial",`, `"hostname": "pc1", `, `"os": "linux", `, `, "boot_id": "b"`, `, "commit": "c"`, `, "sha256": ""`,
		`, "boot_ns": 5`, `"budget_ns": 1, `, `"duration_ns": 2, `, `"compression": "zstd", `, `"envelope": {"scheme": "none"},`, `"schema": "hozen.process/1", `, `"algorithm": "ecdsa-p256-sha256", `,
		`, "size": 100`, `, "records": 0`,
	} {
		change("without "+strings.Trim(name, ", "), name, "")
	}
	change("an identifier of another kind", "acq_0", "inc_0")
	change("an identifier that is too long", "acq_0", "acq_00")
	change("an identifier with a letter that is none", "end_0", "end_u")
	change("an endpoint that is none", "end_00000000000000000000000008", "pc1")
	change("a trigger that is not known", `"trigger": "command"`, `"trigger": "whim"`)
	for _, o := range []string{"denied", "empty", "timed_out", "unsupported", "not_started", "fine", ""} {
		change("the whole "+o, `"outcome": "partial"`, `"outcome": "`+o+`"`)
	}
	change("an outcome of a probe that is not known", `"outcome": "denied"`, `"outcome": "refused"`)
	change("a digest of the tool that is none", `"sha256": ""`, `"sha256": "abc"`)
	change("a time elsewhere", `09:00:01Z`, `18:00:01+09:00`)
	change("a time elsewhere that is the same", `09:00:01Z`, `09:00:01+00:00`)
	change("a time of a probe elsewhere", `09:00:00Z`, `18:00:00+09:00`)
	change("a time that is none", `2026-03-01T09:00:01Z`, `yesterday`)
	change("before the boot", `"boot_ns": 6`, `"boot_ns": -1`)
	change("a number with a point", `"boot_ns": 6`, `"boot_ns": 6.0`)
	change("a number as a text", `"boot_ns": 6`, `"boot_ns": "6"`)
	change("a negative count", `"budget_ns": 1`, `"budget_ns": -1`)
	change("a negative size", `"size": 50`, `"size": -50`)
	change("more bytes than an artifact has", `"size": 100`, `"size": 4294967297`)
	change("a probe twice", `"kind": "session"`, `"kind": "process"`)
	change("a kind that is none", `"kind": "session"`, `"kind": "Session"`)
	change("a probe with other records than its artifact", `"outcome": "complete", "records": 2`, `"outcome": "complete", "records": 3`)
	change("a probe with records and no artifact", `"detail": "no", "records": 0`, `"detail": "no", "records": 1`)
	change("an artifact without records", process, ` "records": 0, "compression"`)
	change("an artifact that no probe wrote", `"artifacts": [`, second("artifacts/clock.jsonl.zst", "clock", ""))
	change("a name of an artifact twice", `"artifacts": [`, second("artifacts/process.jsonl.zst", "process", ""))
	change("two artifacts of a kind", `"artifacts": [`, strings.Replace(second("artifacts/process.jsonl", "process", ""), "zstd", "none", 1))
	change("a path out of the folder", "artifacts/process.jsonl.zst", "artifacts/../process.jsonl.zst")
	change("a name elsewhere", "artifacts/process.jsonl.zst", "process.jsonl.zst")
	change("a name in capitals, of an artifact", "artifacts/process.jsonl.zst", "artifacts/PROCESS.jsonl.zst")
	change("an image of memory with two records", "artifacts/process.jsonl.zst", "artifacts/process.lime.zst")
	change("a file with two records", "artifacts/process.jsonl.zst", "artifacts/process.raw")
	out[len(out)-1].Manifest = strings.Replace(out[len(out)-1].Manifest, `"compression": "zstd"`, `"compression": "none"`, 1)
	change("a schema that is none", `"hozen.process/1"`, `"hozen.process/01"`)
	change("a schema of nobody", `"hozen.process/1"`, `"process"`)
	change("a compression that is not known", `"compression": "zstd"`, `"compression": "gzip"`)
	change("an envelope that is not known", `"scheme": "none"`, `"scheme": "rot13"`)
	change("a digest in capitals", strings.Repeat("a", 64), strings.Repeat("A", 64))
	change("a short digest", strings.Repeat("b", 64), strings.Repeat("b", 63))
	change("an algorithm that is not known", "ecdsa-p256-sha256", "ed25519")
	change("a key that is none", strings.Repeat("c", 64), "key")
	change("a one-time key for an endpoint", `"algorithm":`, `"one_time": true, "algorithm":`)
	change("no endpoint and a key of one", ` "endpoint_id": "end_00000000000000000000000008",`, "")
	checkpoint := func(name, text string) {
		change(name, `"outcome": "partial",`, `"outcome": "partial", "checkpoint": `+text+`,`)
	}
	root := `"root_sha256": "` + strings.Repeat("d", 64) + `"`
	checkpoint("a checkpoint of no log", `{"origin": "", "size": 1, `+root+`}`)
	checkpoint("a checkpoint without a size", `{"origin": "x", `+root+`}`)
	checkpoint("a checkpoint without a root", `{"origin": "x", "size": 1}`)
	checkpoint("a checkpoint of a negative size", `{"origin": "x", "size": -1, `+root+`}`)
	checkpoint("a checkpoint with more", `{"origin": "x", "size": 1, `+root+`, "key": "k"}`)
	return out
}
