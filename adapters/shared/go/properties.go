package contract

// Properties of 5.0 by the contract's names; nil and empty ones are absent.
type Properties struct {
	PayloadFormatIndicator          *byte       `json:"payload_format_indicator,omitempty"`
	MessageExpiryInterval           *uint32     `json:"message_expiry_interval,omitempty"`
	ContentType                     *string     `json:"content_type,omitempty"`
	ResponseTopic                   *string     `json:"response_topic,omitempty"`
	CorrelationData                 []byte      `json:"correlation_data,omitempty"`
	SubscriptionIdentifier          []int       `json:"subscription_identifier,omitempty"`
	SessionExpiryInterval           *uint32     `json:"session_expiry_interval,omitempty"`
	AssignedClientIdentifier        *string     `json:"assigned_client_identifier,omitempty"`
	ServerKeepAlive                 *uint16     `json:"server_keep_alive,omitempty"`
	AuthenticationMethod            *string     `json:"authentication_method,omitempty"`
	AuthenticationData              []byte      `json:"authentication_data,omitempty"`
	RequestProblemInformation       *byte       `json:"request_problem_information,omitempty"`
	WillDelayInterval               *uint32     `json:"will_delay_interval,omitempty"`
	RequestResponseInformation      *byte       `json:"request_response_information,omitempty"`
	ResponseInformation             *string     `json:"response_information,omitempty"`
	ServerReference                 *string     `json:"server_reference,omitempty"`
	ReasonString                    *string     `json:"reason_string,omitempty"`
	ReceiveMaximum                  *uint16     `json:"receive_maximum,omitempty"`
	TopicAliasMaximum               *uint16     `json:"topic_alias_maximum,omitempty"`
	TopicAlias                      *uint16     `json:"topic_alias,omitempty"`
	MaximumQoS                      *byte       `json:"maximum_qos,omitempty"`
	RetainAvailable                 *byte       `json:"retain_available,omitempty"`
	UserProperty                    [][2]string `json:"user_property,omitempty"`
	MaximumPacketSize               *uint32     `json:"maximum_packet_size,omitempty"`
	WildcardSubscriptionAvailable   *byte       `json:"wildcard_subscription_available,omitempty"`
	SubscriptionIdentifierAvailable *byte       `json:"subscription_identifier_available,omitempty"`
	SharedSubscriptionAvailable     *byte       `json:"shared_subscription_available,omitempty"`
}
