package record

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"hozen/collector/internal/search"
)

// SearchedUploads says where files are searched for that people sent.
func SearchedUploads() search.Source {
	return search.Source{From: "record_upload", ID: "exhibit", Name: "exhibit", Text: "sha256 || ' ' || file", Incident: "incident_id", At: "received_at",
		In: []string{"file", "exhibit"}, Keys: []string{"sha256"}, Decomposed: true, Where: "received_at <> ''", Order: "received_at DESC, id DESC"}
}

// SearchedDecisions says where decisions are searched.
func SearchedDecisions() search.Source {
	return search.Source{From: "record_decision", ID: "CAST(decision_no AS TEXT)", Name: "decider", Text: "decision || ' ' || reason || ' ' || facts || ' ' || options", Incident: "incident_id", At: "decided_at",
		In: []string{"decision", "reason", "facts", "options", "decider"}, Order: "decided_at DESC, decision_no DESC"}
}

// SearchedEnquiries says where the log of the customers' desk is searched.
func SearchedEnquiries() search.Source {
	return search.Source{From: "record_enquiry", ID: "CAST(enquiry_no AS TEXT)", Name: "who", Text: "question || ' ' || answer || ' ' || contact", Incident: "incident_id", At: "asked_at",
		In: []string{"question", "answer", "who", "contact"}, Order: "asked_at DESC, enquiry_no DESC"}
}

// SearchedAnswers says where the newest answers of records are searched.
func SearchedAnswers() search.Source {
	return search.Source{From: "record_version v", Organisation: "v.organisation_id", ID: "v.item", Name: "v.item", Text: "v.value", Incident: "v.incident_id", At: "v.entered_at", In: []string{"v.value"},
		Where: "NOT EXISTS (SELECT 1 FROM record_version n WHERE n.incident_id = v.incident_id AND n.item = v.item AND n.version_no > v.version_no)", Order: "v.entered_at DESC, v.item"}
}

// FoundUpload reads what is shown of an upload that was found: its digest and what a person
// said of it.
func FoundUpload(text string) (sha256, words string, err error) {
	sha256, file, _ := strings.Cut(text, " ")
	var f File
	if err := json.Unmarshal([]byte(file), &f); err != nil {
		return "", "", fmt.Errorf("read upload: %w", err)
	}
	return sha256, norm.NFC.String(spaced(f.Name, f.Device, f.Description, f.Person, f.ClockNote)), nil
}

// FoundAnswer reads the words of an answer that was found.
func FoundAnswer(text string) (string, error) {
	v, err := DecodeValue(text)
	if err != nil {
		return "", err
	}
	var words []string
	for _, f := range slices.Sorted(maps.Keys(v.Fields)) {
		words = append(words, v.Fields[f])
	}
	for _, f := range v.Facts {
		words = append(words, f.Host, f.Name, f.Detail)
	}
	return spaced(words...), nil
}

func spaced(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " ")
}
