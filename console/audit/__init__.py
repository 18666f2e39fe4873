"""Does the registry hold exactly what the event log says? The auditor's (監査人) check, which changes nothing."""
