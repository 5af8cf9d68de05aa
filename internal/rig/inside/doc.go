// Package inside holds the tests that run in a machine of the rig, on its
// kernel's CAN. Anywhere else they skip.
package inside
