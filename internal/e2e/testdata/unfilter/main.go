// Command unfilter removes one filter of Windows' filtering platform by its key, as another
// program with an administrator's rights may.
package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

func main() {
	key, err := windows.GUIDFromString("{" + os.Args[1] + "}")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	dll := windows.NewLazySystemDLL("fwpuclnt.dll")
	const authWinNT = 10
	var engine windows.Handle
	if r, _, _ := dll.NewProc("FwpmEngineOpen0").Call(0, authWinNT, 0, 0, uintptr(unsafe.Pointer(&engine))); r != 0 {
		fmt.Printf("open: %#x\n", r)
		os.Exit(1)
	}
	if r, _, _ := dll.NewProc("FwpmFilterDeleteByKey0").Call(uintptr(engine), uintptr(unsafe.Pointer(&key))); r != 0 {
		fmt.Printf("delete: %#x\n", r)
		os.Exit(1)
	}
	_, _, _ = dll.NewProc("FwpmEngineClose0").Call(uintptr(engine))
}
