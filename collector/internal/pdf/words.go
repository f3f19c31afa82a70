package pdf

// Word writes a code of an exhibit, such as its kind or the type of an event, in Japanese
// and English; one that is not known as it is.
func Word(code string) string {
	if ja := word(code); ja != "" {
		return ja + " " + code
	}
	return code
}

func word(code string) string {
	switch code {
	// Kinds.
	case "volatile":
		return "揮発性情報"
	case "memory":
		return "メモリ"
	case "files":
		return "ファイル"
	case "log":
		return "ログ"
	case "photo":
		return "写真"
	case "device":
		return "機器"
	case "paper":
		return "書類"
	// Types of events.
	case "collect":
		return "取得"
	case "seal":
		return "封印"
	case "receive":
		return "受領"
	case "verify":
		return "照合"
	case "view":
		return "閲覧"
	case "copy":
		return "複製"
	case "export":
		return "書き出し"
	case "hand_over":
		return "手渡し"
	case "ship":
		return "発送"
	case "return":
		return "返却"
	case "store":
		return "保管"
	case "dispose":
		return "廃棄"
	case "hold":
		return "保存期限の停止"
	case "release_hold":
		return "保存期限の停止の解除"
	case "note":
		return "備考"
	// Results and outcomes.
	case "match":
		return "一致"
	case "mismatch":
		return "不一致"
	case "complete":
		return "完了"
	case "partial":
		return "一部のみ"
	case "interrupted":
		return "中断"
	case "failed":
		return "失敗"
	case "denied":
		return "権限不足"
	case "empty":
		return "該当なし"
	case "unsupported":
		return "この OS では取得不可"
	case "timed_out":
		return "時間切れ"
	case "not_started":
		return "未実施"
	// Gaps of custody.
	case "transit":
		return "発送したまま、受領の記録がない"
	case "not_holder":
		return "記録上の保管者でない人が渡した"
	case "other_receiver":
		return "送り先と違う人が受け取った"
	case "order":
		return "日時が、前の記録より前になっている"
	case "no_start":
		return "最初の保管者の記録がない"
	case "nobody":
		return "渡した相手の記録がない"
	case "disposed":
		return "廃棄した後に取扱いの記録がある"
	}
	return ""
}
