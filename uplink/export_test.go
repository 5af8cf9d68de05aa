package uplink

// KernelNetwork is what asks the kernel.
var KernelNetwork Network = kernelNetwork{}
