package obd

import "time"

// layouts are the data bytes of the PIDs whose quantities stand in sensors and
// exhaust, and how often asking for them makes sense.
var layouts = [256]struct {
	size  uint8
	every time.Duration
}{
	0x12: {1, seldom}, 0x14: {2, calmly}, 0x16: {2, calmly}, 0x17: {2, calmly},
	0x18: {2, calmly}, 0x19: {2, calmly}, 0x1A: {2, calmly}, 0x1B: {2, calmly},
	0x1D: {1, seldom}, 0x22: {2, calmly}, 0x23: {2, calmly}, 0x24: {4, calmly},
	0x25: {4, calmly}, 0x26: {4, calmly}, 0x27: {4, calmly}, 0x28: {4, calmly},
	0x29: {4, calmly}, 0x2A: {4, calmly}, 0x2B: {4, calmly}, 0x2C: {1, calmly},
	0x2D: {1, calmly}, 0x32: {2, calmly}, 0x35: {4, calmly}, 0x36: {4, calmly},
	0x37: {4, calmly}, 0x38: {4, calmly}, 0x39: {4, calmly}, 0x3A: {4, calmly},
	0x3B: {4, calmly}, 0x41: {4, seldom}, 0x47: {1, calmly}, 0x48: {1, calmly},
	0x4A: {1, calmly}, 0x4B: {1, calmly}, 0x4C: {1, calmly}, 0x4F: {4, seldom},
	0x50: {4, seldom}, 0x54: {2, calmly}, 0x55: {1, calmly}, 0x56: {1, calmly},
	0x57: {1, calmly}, 0x58: {1, calmly}, 0x59: {2, calmly}, 0x5D: {2, calmly},
	0x5F: {1, seldom}, 0x64: {5, seldom}, 0x65: {2, calmly}, 0x66: {5, often},
	0x67: {3, calmly}, 0x68: {7, calmly}, 0x69: {7, calmly}, 0x6A: {5, calmly},
	0x6B: {5, calmly}, 0x6C: {5, calmly}, 0x6D: {11, calmly}, 0x6E: {9, calmly},
	0x6F: {3, calmly}, 0x70: {10, calmly}, 0x71: {6, calmly}, 0x72: {5, calmly},
	0x73: {5, calmly}, 0x74: {5, calmly}, 0x75: {7, calmly}, 0x76: {7, calmly},
	0x77: {5, calmly}, 0x78: {9, calmly}, 0x79: {9, calmly}, 0x7A: {7, calmly},
	0x7B: {7, calmly}, 0x7C: {9, calmly}, 0x7D: {1, seldom}, 0x7E: {1, seldom},
	0x7F: {13, seldom}, 0x81: {41, seldom}, 0x82: {41, seldom}, 0x83: {9, calmly},
	0x84: {1, calmly}, 0x85: {10, seldom}, 0x86: {5, calmly}, 0x87: {5, often},
	0x88: {13, seldom}, 0x89: {41, seldom}, 0x8A: {41, seldom}, 0x8B: {7, calmly},
	0x8C: {17, calmly}, 0x8D: {1, calmly}, 0x8E: {1, calmly}, 0x8F: {7, calmly},
	0x90: {3, seldom}, 0x91: {5, seldom}, 0x92: {2, calmly}, 0x93: {3, seldom},
	0x94: {12, seldom}, 0x98: {9, calmly}, 0x99: {9, calmly}, 0x9A: {6, calmly},
	0x9C: {17, calmly}, 0x9D: {4, often}, 0x9E: {2, calmly}, 0x9F: {9, calmly},
	0xA1: {9, calmly}, 0xA2: {2, calmly}, 0xA5: {4, calmly}, 0xA9: {4, seldom},
	0xAA: {1, seldom}, 0xB2: {1, seldom}, 0xD2: {3, seldom}, 0xD3: {4, seldom},
}
