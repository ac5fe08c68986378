"""Parts of the language-model benchmark: its texts, its model, its measurements."""
