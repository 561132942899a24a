"""The parent of the workers: it keeps them alive, gives them the policy, and replaces itself."""
