package exhibit

import "hozen/collector/internal/search"

// Searched says where exhibits are searched for, by number and by the newest of what people
// say of them.
func Searched() search.Source {
	return search.Source{From: "exhibit_item i LEFT JOIN exhibit_change c ON c.item_id = i.id AND NOT EXISTS (SELECT 1 FROM exhibit_change n WHERE n.item_id = c.item_id AND n.field = c.field AND (n.ledger_idx > c.ledger_idx OR n.ledger_idx = c.ledger_idx AND n.change_no > c.change_no))",
		Organisation: "i.organisation_id", ID: "CAST(i.item_no AS TEXT)", Name: "i.number", Text: "COALESCE(c.value, '')", Incident: "i.incident_id", Endpoint: "i.endpoint_id", At: "i.created_at",
		In: []string{"i.number", "COALESCE(c.value, '')"}, Order: "i.created_at DESC, i.item_no DESC"}
}
