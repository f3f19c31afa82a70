package facts

// nonblock has no meaning here: nothing reads files through a Root.
const nonblock = 0
