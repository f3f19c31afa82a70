package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// qmp speaks to the virtual hardware (QEMU's docs/interop/qmp-spec.rst).
type qmp struct {
	conn net.Conn
	dec  *json.Decoder
}

// qmpPatience is how long the hardware may take to answer.
const qmpPatience = 30 * time.Second

func newQMP(conn net.Conn) (*qmp, error) {
	q := &qmp{conn, json.NewDecoder(conn)}
	if err := conn.SetDeadline(time.Now().Add(qmpPatience)); err != nil {
		return nil, err
	}
	var greeting struct {
		QMP json.RawMessage `json:"QMP"`
	}
	if err := q.dec.Decode(&greeting); err != nil || greeting.QMP == nil {
		return nil, fmt.Errorf("greet the virtual hardware: %w", errors.Join(err, conn.Close()))
	}
	return q, q.do("qmp_capabilities", nil)
}

// do gives an order and waits for its answer; events in between are left out.
func (q *qmp) do(order string, arguments any) error {
	if err := q.conn.SetDeadline(time.Now().Add(qmpPatience)); err != nil {
		return err
	}
	msg := map[string]any{"execute": order}
	if arguments != nil {
		msg["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(msg); err != nil {
		return fmt.Errorf("order %s: %w", order, err)
	}
	for {
		var said struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := q.dec.Decode(&said); err != nil {
			return fmt.Errorf("order %s: %w", order, err)
		}
		if said.Error != nil {
			return fmt.Errorf("order %s: %s", order, said.Error.Desc)
		}
		if said.Return != nil {
			return nil
		}
	}
}

// press presses keys together, named as QEMU's QKeyCode does.
func (q *qmp) press(keys ...string) error {
	type key struct {
		Type string `json:"type"`
		Data string `json:"data"`
	}
	var list []key
	for _, k := range keys {
		list = append(list, key{"qcode", k})
	}
	return q.do("send-key", map[string]any{"keys": list})
}
