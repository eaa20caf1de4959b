"""What the console offers: menus, selectors, dialogs, lists and views as TOML stanzas, and the rules that read them."""
