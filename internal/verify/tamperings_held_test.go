package verify_test

// tamperingsOfHeld are changes to what is said of witnesses, seals and media: of evidence that
// was handed over, in the file of exhibits and in the entry of the ledger.
func tamperingsOfHeld() map[string]tampering {
	// over changes the details of the event by which it was handed over.
	over := func(change func(d map[string]any)) tampering {
		return tampering{func(x *bag) {
			x.exhibit(func(e map[string]any) {
				for _, v := range e["events"].([]any) {
					if v := v.(map[string]any); v["act"] == "custody.hand_over" {
						change(v["details"].(map[string]any))
						return
					}
				}
				x.t.Fatal("it was not handed over")
			})
		}, "ledger", "exhibits.json", false}
	}
	without := func(names ...string) tampering {
		return over(func(d map[string]any) {
			for _, n := range names {
				if d[n] == nil || d[n] == "" {
					panic("the event has no " + n)
				}
				delete(d, n)
			}
		})
	}
	described := func(change func(details, fields map[string]any)) tampering {
		return tampering{func(x *bag) {
			x.exhibit(func(e map[string]any) {
				for _, v := range e["said"].([]any) {
					if d := v.(map[string]any)["details"].(map[string]any); d["field"] == "witness" {
						change(d, e["fields"].(map[string]any))
						return
					}
				}
				x.t.Fatal("no witness is described")
			})
		}, "ledger", "exhibits.json", false}
	}
	return map[string]tampering{
		"the witness left out of an event":     without("witness"),
		"another witness of an event":          over(func(d map[string]any) { d["witness"] = "x" }),
		"the seal number left out of an event": without("seal_no"),
		"the medium left out of an event":      without("medium_type", "medium_serial"),
		"the place left out of an event":       without("place"),
		"the witness of an exhibit left out":   described(func(_, fields map[string]any) { delete(fields, "witness") }),
		"another witness of an exhibit": described(func(d, fields map[string]any) {
			d["value"], fields["witness"] = "x", "x"
		}),
		"the witness taken out of the entry too": {func(x *bag) {
			without("witness").change(x)
			x.edit("custody/entries.jsonl", `,\"witness\":\"証人 三郎\"`, "")
		}, "entry", "entries.jsonl", false},
	}
}
