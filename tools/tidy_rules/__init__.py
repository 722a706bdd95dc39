"""The rules of tools/tidy, by what they look at: single lines, C++ text, or the tree as a whole."""
