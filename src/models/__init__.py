"""Networks as pure ``nn.Module`` classes, each with a card; the registry finds and builds them."""
