"""The files of the Sloan Digital Sky Survey; imports what surveys may import."""
