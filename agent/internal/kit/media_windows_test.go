package kit_test

import "golang.org/x/sys/windows"

const tooLarge = windows.ERROR_FILE_TOO_LARGE
